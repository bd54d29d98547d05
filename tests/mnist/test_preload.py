"""What a worker's process is made ready by; tests/execution/test_environment.py sees one ready."""

import subprocess
import sys

# Its import fails at once, which takes a second where TensorFlow's would take five.
WITHOUT_KERAS = "import os, sys; sys.modules['keras'] = None; os.environ['KERAS_BACKEND'] = 'jax'\n"


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_KERAS + code], capture_output=True, text=True
    )


def test_an_import_that_fails_is_raised_when_a_worker_is_prepared() -> None:
    code = "from lr_ceiling.mnist import preload\nprint('imported')\npreload.prepare()"
    done = run(code)
    assert done.stdout == "imported\n"
    assert done.stderr.splitlines()[-1].startswith("ModuleNotFoundError: import of keras halted")


def test_the_environment_is_pinned_before_anything_is_imported() -> None:
    code = (
        "class Finder:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name in ('numpy', 'tensorflow', 'lr_ceiling.mnist.engine'):\n"
        "            print(name, os.environ['KERAS_BACKEND'])\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from lr_ceiling.mnist import preload"
    )
    seen = [line.split() for line in run(code).stdout.splitlines()]
    assert ["lr_ceiling.mnist.engine", "tensorflow"] in seen
    assert {backend for _, backend in seen} == {"tensorflow"}
