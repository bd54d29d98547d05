"""MLflow's application with our page in front; tests/pipeline/test_ui.py has it in a browser."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from starlette.requests import Request

from lr_ceiling.tracking import webui


def test_the_page_is_mlflows_with_the_choice_before_its_scripts() -> None:
    # In a thread: a browser's tests leave their event loop in this one.
    with ThreadPoolExecutor(1) as thread:
        response = thread.submit(asyncio.run, webui.index(Request({"type": "http"}))).result()
    page = bytes(response.body).decode()
    assert page.replace(webui.SCRIPT, "") == webui.INDEX.read_text()
    assert page.index("machine_learning") < page.index("<script defer")


def test_the_choices_are_those_that_mlflows_scripts_read() -> None:
    scripts = [path.read_text() for path in webui.INDEX.parent.glob("static/js/*.js")]
    for key in webui.CHOICES:
        # The scripts put the version behind the name themselves.
        name = key.removesuffix("_v1")
        assert any(name in script for script in scripts), f"MLflow no longer reads {name}"
