"""The environment decides nothing: whatever a caller has set, a training gives the same bytes."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import small_spec
from lr_ceiling.mnist import engine, training
from lr_ceiling.mnist.results import RunResult
from lr_ceiling.problems import environment
from lr_ceiling.problems.environment import FAMILIES, SETTINGS, muted_stderr, pin, pinned

# What people have set, or could: another backend and float type, no oneDNN or only its oldest
# kernels, threads, a compiler, reduced precision, kernels of numpy's and of its BLAS.
HOSTILE = {
    "KERAS_BACKEND": "torch",
    "KERAS_MAX_EPOCHS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "0",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_SET_ONEDNN_FPMATH_MODE": "BF16",
    "TF_NUM_INTRAOP_THREADS": "7",
    "TF_NUM_INTEROP_THREADS": "7",
    "TF_XLA_FLAGS": "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit",
    "TF_USE_LEGACY_KERAS": "1",
    "TF2_BEHAVIOR": "0",
    "TENSORFLOW_USE_CUSTOM_CONTRACTION_KERNEL": "0",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "ONEDNN_DEFAULT_FPMATH_MODE": "BF16",
    "OMP_NUM_THREADS": "7",
    "OPENBLAS_CORETYPE": "Prescott",
    "OPENBLAS_NUM_THREADS": "7",
    "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3",
    "SCIPY_ARRAY_API": "1",
    "XLA_FLAGS": "--xla_cpu_enable_fast_math=true",
    "CUDA_VISIBLE_DEVICES": "0",
}
KERAS_JSON = {
    "floatx": "float16",
    "epsilon": 0.1,
    "backend": "torch",
    "image_data_format": "channels_first",
}
SCRIPT = """
import json, sys
from pathlib import Path
from lr_ceiling.execution.executor import local_executor
from lr_ceiling.execution.runner import Runner
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.mnist.task import PREPARED_BY, TrainingTask
from tasks import Settings

if __name__ == "__main__":
    spec = RunSpec.model_validate_json(sys.argv[1])
    task = TrainingTask(spec, Path(sys.argv[2]), Path(sys.argv[3]), test=True)
    with Runner(lambda: local_executor(1, PREPARED_BY), 1) as runner:
        training, settings = (ended.result for ended in runner.execute([task, Settings()]))
    print(json.dumps([training.model_dump_json(), settings]))
"""

TESTS = Path(__file__).parents[1]
names = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", min_size=1, max_size=20)
values = st.text(max_size=10)


@given(st.dictionaries(st.tuples(st.sampled_from(FAMILIES), names).map("".join), values))
def test_no_switch_of_the_families_is_left_as_it_was(switches: dict[str, str]) -> None:
    assert pinned(switches) == SETTINGS


@given(st.dictionaries(names, values))
def test_all_others_are_kept(variables: dict[str, str]) -> None:
    others = {name: value for name, value in variables.items() if not name.startswith(FAMILIES)}
    assert pinned(variables) == others | SETTINGS
    assert pinned(pinned(variables)) == pinned(variables)


def test_every_setting_is_of_a_family() -> None:
    assert all(name.startswith(FAMILIES) for name in SETTINGS)
    assert all(name.startswith((*FAMILIES, "OPENBLAS_")) for name in HOSTILE)


def test_pinning_changes_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"HOME": "/root", "ONEDNN_VERBOSE": "1"} | HOSTILE)
    pin()
    left = {name: value for name, value in HOSTILE.items() if name.startswith("OPENBLAS_")}
    assert os.environ == {"HOME": "/root"} | left | SETTINGS


def test_no_keras_json_is_where_keras_looks() -> None:
    home = Path(environment.SETTINGS["KERAS_HOME"])
    assert not home.exists()
    with pytest.raises(OSError, match="Not a directory"):
        home.mkdir(parents=True)


def test_only_what_is_written_inside_is_muted(capfd: pytest.CaptureFixture[str]) -> None:
    with muted_stderr():
        os.write(2, b"from C\n")
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"


def test_a_training_in_a_hostile_environment_gives_the_same_bytes(
    small_splits: Path, digest: str, tmp_path: Path
) -> None:
    engine.configure()
    spec = small_spec(digest, variant="batchnorm", steps_per_epoch=40)
    expected = training.fit(spec, small_splits, tmp_path / "expected.keras", test=True)
    home = tmp_path / "home" / ".keras"
    home.mkdir(parents=True)
    (home / "keras.json").write_text(json.dumps(KERAS_JSON))
    (tmp_path / "script.py").write_text(SCRIPT)
    model = tmp_path / "hostile.keras"
    done = subprocess.run(
        [sys.executable, "script.py", spec.model_dump_json(), str(small_splits), str(model)],
        cwd=tmp_path,
        env=os.environ
        | HOSTILE
        | {"KERAS_HOME": str(home), "HOME": str(home.parent), "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    trained, settings = json.loads(done.stdout)
    assert settings == {
        "backend": "tensorflow",
        "floatx": "float32",
        "epsilon": 1e-7,
        "image_data_format": "channels_last",
        "max_epochs": None,
        "threads": [1, 1],
        "gpus": 0,
    }
    assert RunResult.model_validate_json(trained) == expected
    assert model.read_bytes() == (tmp_path / "expected.keras").read_bytes()


def test_threads_that_mute_stderr_leave_it_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    inside = threading.Event()

    def mute() -> None:
        with muted_stderr():
            inside.set()
            time.sleep(0.1)

    threads = [threading.Thread(target=mute) for _ in range(2)]
    threads[0].start()
    assert inside.wait(10)
    threads[1].start()
    for thread in threads:
        thread.join()
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"
