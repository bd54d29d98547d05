"""Each example as a person runs it, with the code of the wheel."""

import os
import re
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from wheels import ROOT, call

EXAMPLES = ROOT / "examples"
PEERS = ROOT / ".venv" / "peers" / "bin" / "python"
# Fifteen trials without confirming seeds may leave lr90 in doubt.
DOUBT = r"(?:, if any learning rate trains nine times in ten \(probability 0\.\d\d\))?"
ANSWER = rf"trains up to \S+ \(\S+ to \S+\){DOUBT}(?:; no accuracy lost up to [^;]+)?; \d+ trials\n"


@pytest.fixture(scope="module")
def library(installed: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The wheel's code, for an environment that has the extras."""
    folder = tmp_path_factory.mktemp("library")
    with zipfile.ZipFile(installed[0]) as wheel:
        wheel.extractall(folder)
    return str(folder)


def run(name: str, python: str | Path, folder: Path, **environment: str) -> str:
    return call([str(python), str(EXAMPLES / name)], folder, environment).stdout


def test_every_example_is_run_here() -> None:
    here = Path(__file__).read_text()
    for path in EXAMPLES.iterdir():
        assert path.name == "__pycache__" or re.search(rf"\b{path.stem}\b", here), path


def test_the_sampler_alone(installed: tuple[Path, Path], tmp_path: Path) -> None:
    shown = run("optuna_sampler.py", installed[1], tmp_path)
    assert re.fullmatch(ANSWER, shown), shown


def test_other_questions(installed: tuple[Path, Path], tmp_path: Path) -> None:
    shown = run("other_questions.py", installed[1], tmp_path)
    told = r"warm-up: nine seeds in ten need (\d+) to (\d+) steps\n"
    found = re.fullmatch(f"weight decay: {ANSWER}{told}", shown)
    assert found, shown
    assert 50 < int(found[1]) < 500 < int(found[2])


def test_optunas_plots(library: str, tmp_path: Path) -> None:
    run("optuna_plots.py", sys.executable, tmp_path, PYTHONPATH=library, MPLBACKEND="agg")
    drawn = {path.stem: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(drawn) == {"ceiling", "slice"}
    assert all(size > 5000 for size in drawn.values())


def test_mnist(library: str, mnist_path: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lr_ceiling.pipeline.cli", "find"]
    command += [str(EXAMPLES / "mnist.py:problem"), "--low", "1e-3", "--high", "1e-2"]
    command += [
        "--budget",
        "1",
        "--interval",
        "4",
        "--confirmations",
        "0",
        "--usable",
        "0",
        "--quiet",
    ]
    shown = call(command, tmp_path, {"PYTHONPATH": library, "MNIST": str(mnist_path)}).stdout
    assert re.search(r"; (no ceiling found|no run was stable).*1 of 1 ", f"; {shown}"), shown


def test_transformer(library: str, tmp_path: Path) -> None:
    code = "import transformer; print(transformer.problem(0.02, seed=0).label)"
    path = os.pathsep.join((library, str(EXAMPLES)))
    shown = call([sys.executable, "-c", code], tmp_path, {"PYTHONPATH": path}).stdout
    assert shown == "stable\n"


@pytest.mark.skipif(not PEERS.exists(), reason="PyTorch is in .venv/peers alone, by `make bench`")
def test_pytorch(installed: tuple[Path, Path], tmp_path: Path) -> None:
    (packages,) = (installed[1].parents[1] / "lib").glob("python*/site-packages")
    shown = run("pytorch.py", PEERS, tmp_path, PYTHONPATH=str(packages))
    assert re.fullmatch(ANSWER, shown), shown


def test_the_notebook(library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = nbformat.read(EXAMPLES / "ceiling.ipynb", 4)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    monkeypatch.setenv("PYTHONPATH", library)
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    client = NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    said = [output.text for output in shown if output.output_type == "stream"]
    # Optuna's bars would be drawn by a package that is not needed.
    assert all("TqdmWarning: IProgress not found" in text for text in said), said
    data = [output.data for output in shown if output.output_type != "stream"]
    table, figure, numbers, trials = data
    assert "trains up to (lr90)" in table["text/html"]
    assert "image/png" in figure
    assert numbers["text/plain"].startswith("(Estimate(estimate=")
    assert "learning_rate" in trials["text/html"]
