"""The journal: one driver at a time has it open."""

from pathlib import Path

import pytest
from optuna.samplers import RandomSampler

from lr_ceiling.errors import LockedError
from lr_ceiling.execution.journal import held, load_study


def test_a_second_driver_is_refused_until_the_first_is_done(tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    with (
        held(journal),
        pytest.raises(LockedError, match=r"another search has the study .*study\.journal open"),
        held(journal),
    ):
        pass
    with held(journal):
        assert load_study(journal, "study", RandomSampler()).study_name == "study"
