"""What a worker's process is made ready by: the environment first, then TensorFlow."""

import json
import os
import subprocess
import sys

REPORT = """
import json, os
from lr_ceiling.mnist import preload
preload.prepare()
import keras, tensorflow as tf
print(json.dumps({
    "backend": keras.config.backend(), "float": keras.config.floatx(),
    "image": keras.config.image_data_format(),
    "threads": [tf.config.threading.get_intra_op_parallelism_threads(),
                tf.config.threading.get_inter_op_parallelism_threads()],
    "gpus": len(tf.config.get_visible_devices("GPU")),
}))
"""


def preloaded(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


def test_a_process_is_ready_and_silent_whatever_its_environment() -> None:
    done = preloaded(REPORT, KERAS_BACKEND="torch", TF_NUM_INTRAOP_THREADS="7")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert json.loads(done.stdout) == {
        "backend": "tensorflow",
        "float": "float32",
        "image": "channels_last",
        "threads": [1, 1],
        "gpus": 0,
    }


def test_an_import_that_fails_is_raised_when_a_worker_is_prepared() -> None:
    code = (
        "import sys; sys.modules['keras'] = None\n"
        "from lr_ceiling.mnist import preload\n"
        "print('imported')\n"
        "preload.prepare()"
    )
    done = preloaded(code)
    assert done.stdout == "imported\n"
    assert "import of keras halted" in done.stderr
