"""MLflow's own web application, opened on its pages for training instead of those for GenAI.

MLflow 3.17 keeps that choice, whether its assistant is open, and the colours of groups in the
browser, and an experiment's tags don't change them. So the page carries these choices for browsers
that have none yet.
`mlflow server --app-name lr-ceiling` serves it.
"""

import json
import os
import signal
import threading
from pathlib import Path

import mlflow.server
from mlflow.server.fastapi_app import app
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from lr_ceiling.tracking.names import COLOURS

__all__ = ["UNTIL_CLOSED", "app"]

# Set by `lr-ceiling ui`: serve until stdin, whose other end it holds, is closed.
UNTIL_CLOSED = "LR_CEILING_UI_UNTIL_CLOSED"
# As MLflow's scripts write them into the browser's storage.
CHOICES = {
    "mlflow.workflowType_v1": '"machine_learning"',
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.assistant.panelOpen_v1": "false",
    # Groups have no tag that could hold a colour, as runs have.
    "experimentRunColors": json.dumps(
        {f"param.variant.{variant}": colour for variant, colour in COLOURS.items()}
    ),
}
SCRIPT = f"""<script>
for (const [key, value] of Object.entries({json.dumps(CHOICES)}))
  if (localStorage.getItem(key) === null) localStorage.setItem(key, value);
</script>"""
INDEX = Path(mlflow.server.__file__).parent / "js" / "build" / "index.html"


async def index(request: Request) -> HTMLResponse:
    """MLflow's page, with the choice."""
    return HTMLResponse(INDEX.read_text().replace("<head>", f"<head>{SCRIPT}", 1))


def _end_with_stdin() -> None:
    # Nothing is ever written to it. Python's own stdin has a lock that an exit would wait for.
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


# Before MLflow's own, which ends in a mount that takes all paths.
app.router.routes.insert(0, Route("/", index))
if os.environ.get(UNTIL_CLOSED):
    threading.Thread(target=_end_with_stdin, daemon=True).start()
