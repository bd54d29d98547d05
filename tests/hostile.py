"""An environment whose switches would change the arithmetic, were they obeyed."""

import json
import os
from pathlib import Path


def hostile(folder: Path) -> dict[str, str]:
    """This process's environment with such switches; `folder` gets a keras.json."""
    settings = {"floatx": "float16", "image_data_format": "channels_first", "backend": "jax"}
    (folder / "keras.json").write_text(json.dumps(settings | {"epsilon": 0.1}))
    switches = {
        "KERAS_BACKEND": "jax",
        "KERAS_HOME": str(folder),
        "TF_CPP_MIN_LOG_LEVEL": "0",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "TF_NUM_INTRAOP_THREADS": "3",
        "OMP_NUM_THREADS": "3",
        "XLA_FLAGS": "--no_such_flag",
    }
    return os.environ | switches
