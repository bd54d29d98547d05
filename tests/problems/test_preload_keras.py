"""What makes a worker ready for anyone's Keras problem; test_keras_run.py sees one ready."""

import os
import subprocess
import sys

# Its import fails at once, which takes a second where TensorFlow's would take five.
WITHOUT_KERAS = "import os, sys; sys.modules['keras'] = None\n"
SETTINGS = ("KERAS_BACKEND", "KERAS_FLOATX", "CUDA_VISIBLE_DEVICES")


def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_KERAS + code],
        env=os.environ | variables,
        capture_output=True,
        text=True,
    )


def test_an_import_that_fails_is_raised_when_a_worker_is_prepared() -> None:
    code = "from lr_ceiling.problems import preload_keras as p\nprint('imported')\np.prepare()"
    done = run(code)
    assert done.stdout == "imported\n"
    assert done.stderr.splitlines()[-1].startswith("ModuleNotFoundError: import of keras halted")


def test_threads_are_pinned_and_the_user_s_choices_are_left() -> None:
    names = ["OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_ENABLE_ONEDNN_OPTS", *SETTINGS]
    code = (
        "from lr_ceiling.problems import preload_keras\n"
        f"print([os.environ.get(name) for name in {names}])"
    )
    chosen = dict(zip(SETTINGS, ("jax", "float16", "5"), strict=True))
    done = run(code, OMP_NUM_THREADS="7", TF_ENABLE_ONEDNN_OPTS="0", **chosen)
    assert done.stdout.strip() == "['1', '1', '1', 'jax', 'float16', '5']"
