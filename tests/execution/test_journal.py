"""The journal: one driver at a time has it open."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.samplers import RandomSampler

from lr_ceiling.errors import LockedError, ResultsError, StudyError
from lr_ceiling.execution.journal import held, load_study
from lr_ceiling.search.sampler import INDEX


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


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The journal of a study of two trials."""
    journal = tmp_path_factory.mktemp("written") / "study.journal"
    study = load_study(journal, "study", RandomSampler(seed=0))
    for index in range(2):
        trial = study.ask()
        trial.set_user_attr(INDEX, index)
        trial.suggest_float("learning_rate", 0.1, 1, log=True)
        study.tell(trial, 1.0)
    return journal.read_bytes()


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_journal_with_changed_bytes_is_read_or_refused_in_one_line(
    data: st.DataObject, written: bytes
) -> None:
    content = bytearray(written)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + 1] = data.draw(st.binary(max_size=3))
    content = content[: data.draw(st.integers(0, 2 * len(content)))]
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "study.journal"
        journal.write_bytes(content)
        said = ""
        try:
            load_study(journal, "study", RandomSampler())
        except (ResultsError, StudyError) as error:
            said = str(error)
        assert "\n" not in said
