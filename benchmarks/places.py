"""The paths of the checkout, the alternatives' environment, the scratch space and the report."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
PEERS_PYTHON = ROOT / ".venv" / "peers" / "bin" / "python"
SCRATCH = ROOT / "state" / "benchmark"
SPLITS = ROOT / "data" / "splits.npz"
REPORT = ROOT / "reports" / "benchmark.json"
