"""The journal: one driver at a time has it open."""

from pathlib import Path

import pytest
from optuna.samplers import RandomSampler

from lr_ceiling.errors import LockedError
from lr_ceiling.execution.journal import open_study


def test_a_second_driver_is_refused_until_the_first_is_done(tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    with (
        open_study(journal, RandomSampler()),
        pytest.raises(LockedError, match=r"another search has the study .*study\.journal open"),
        open_study(journal, RandomSampler()),
    ):
        pass
    with open_study(journal, RandomSampler()) as study:
        assert study.study_name == "study"
