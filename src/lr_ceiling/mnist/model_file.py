"""Saved networks: `.keras` files whose bytes depend on the network and its weights alone."""

import json
import re
import tempfile
import zipfile
from pathlib import Path

import keras

from lr_ceiling.errors import ResultsError
from lr_ceiling.execution.files import replacing

# A fixed date for saved models, so that equal networks have equal bytes.
SAVED = "1980-01-01@00:00:00"


def save_model(model: keras.Model, path: Path) -> None:
    """Save a `.keras` file atomically. Raises ResultsError."""
    try:
        with tempfile.TemporaryDirectory() as folder, replacing(path) as partial:
            dated = Path(folder) / "model.keras"
            model.save(dated)
            with zipfile.ZipFile(dated) as source, zipfile.ZipFile(partial, "w") as target:
                for name in sorted(source.namelist()):
                    # The default date of a ZipInfo is 1980-01-01.
                    target.writestr(zipfile.ZipInfo(name), _still(name, source.read(name)))
    except OSError as error:
        raise ResultsError(f"{path} can't be written: {error.strerror or error}") from None


def _still(member: str, content: bytes) -> bytes:
    """A member of the archive without the values that change with each save."""
    if member == "metadata.json":
        return json.dumps(json.loads(content) | {"date_saved": SAVED}).encode()
    if member == "config.json":
        # Keras identifies objects that layers share by their memory address; this uses their order.
        ids: dict[bytes, int] = {}
        return re.sub(
            rb'(?<="shared_object_id": )\d+',
            lambda found: str(ids.setdefault(found[0], len(ids))).encode(),
            content,
        )
    return content
