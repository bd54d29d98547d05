"""Models that are put forward and promoted without the gate; no test loads them."""

from pathlib import Path

from conftest import small_run
from lr_ceiling.execution.files import sha256_of
from lr_ceiling.live.registry import SHA256, Registry
from lr_ceiling.tracking import Store

CONTENT = b"no test loads this one"


def put_forward(store: Store, registry: Registry, seed: int) -> None:
    """Register a challenger whose file and cell name its seed."""
    folder = Path("data/models/cell")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"seed-{seed}.keras"
    file.write_bytes(CONTENT + b"%d" % seed)
    run = small_run(seed=seed)
    store.log_train("cell", [run], folder)
    tags = {SHA256: sha256_of(file), "cell": f"cell {seed}"}
    registry.put_forward(store.model_of(run), tags)


def promote(store: Store, registry: Registry, seed: int) -> None:
    """Register a challenger and make it the champion."""
    put_forward(store, registry, seed)
    challenger = registry.at("challenger")
    assert challenger
    registry.promote(challenger, registry.at("champion"))
