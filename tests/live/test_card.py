"""The model card by itself; tests/live/test_gate.py has it from a real promotion."""

import pytest

from conftest import small_run, small_usable
from lr_ceiling.live.accuracy import Estimate, Measured, Paired, WorstClass
from lr_ceiling.live.card import MAX_LENGTH, model_card
from lr_ceiling.live.gate import Decision, Entrant
from lr_ceiling.report.words import in_short

ORIGIN = {"cell": "baseline-relu-0.003", "commit": "0" * 40, "bytes": "1234567", "sha256": "f" * 64}
MEASURED = Measured(
    accuracy=Estimate(estimate=0.9912, ci95=(0.9882, 0.9936)),
    worst_class=WorstClass(digit=8, recall=0.981),
    calibration_error=0.0042,
)


def entrant(version: int) -> Entrant:
    return Entrant(version=version, origin=ORIGIN, measured=MEASURED, latency_ms=1.25)


def decision(champion: Entrant | None, paired: Paired | None) -> Decision:
    return Decision(
        decision="promoted",
        reason="it is better",
        checks=(),
        challenger=entrant(4),
        champion=champion,
        paired=paired,
        margin=0.005,
        floor=0.97,
        gate_images=5000,
        live=4,
        decided="2026-11-26T12:00:00+00:00",
        model="digits",
        registry="sqlite:///mlflow.db",
    )


PAIRED = Paired(
    difference=Estimate(estimate=0.0024, ci95=(-0.001, 0.0058)),
    challenger_only_right=31,
    champion_only_right=19,
    p_value=0.12,
)


def test_the_first_model_has_no_champion_to_be_compared_with() -> None:
    card = model_card(decision(None, None), small_run(), small_usable())
    assert card.startswith("# digits, version 4\n")
    assert "put live on 2026-11-26" in card
    assert "| accuracy | 99.12% (98.82 to 99.36); the floor is 97% |" in card
    assert "| worst digit | 8, of which it recognises 98.10% |" in card
    assert "| difference | there was no champion to be held against |" in card
    assert "Measured on 5,000 gate images" in card
    assert "## What it can't do" in card
    assert len(card) < MAX_LENGTH


@pytest.mark.parametrize("variant", ["baseline", "batchnorm"])
def test_what_it_is_and_how_it_compares_is_told(variant: str) -> None:
    card = model_card(decision(entrant(3), PAIRED), small_run(variant=variant), small_usable())
    assert "+0.24 points (-0.10 to +0.58) against version 3 on the same images" in card
    assert "alone is right on 31, the other alone on 19; exact McNemar p = 0.12" in card
    assert ("without" if variant == "baseline" else "with") + " batch norm" in card
    assert f"no accuracy is lost up to {in_short(small_usable())}" in card
    assert f"SHA-256 `{'f' * 64}`" in card
