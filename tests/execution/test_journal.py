"""The journal: one driver at a time has it open, and it survives kills and mistakes."""

import errno
import os
import platform
import tempfile
import time
from pathlib import Path

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.samplers import RandomSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import TrialState

from lr_ceiling.errors import LockedError, ResultsError, StudyError
from lr_ceiling.execution.journal import _writing, held, load_study
from lr_ceiling.search.sampler import INDEX


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "study.journal"


def load(journal: Path, name: str = "study") -> Study:
    with held(journal):
        return load_study(journal, name, RandomSampler())


def begin_trial(study: Study, index: int = 0) -> optuna.Trial:
    """A trial as the driver begins it."""
    study.enqueue_trial({"learning_rate": 0.1}, user_attrs={INDEX: index})
    return study.ask({"learning_rate": FloatDistribution(0.01, 1)})


def states(study: Study) -> list[TrialState]:
    return [trial.state for trial in study.get_trials()]


def test_a_second_driver_is_told_who_has_it_until_the_first_is_done(journal: Path) -> None:
    holder = rf" \(process {os.getpid()} on {platform.node()}\): wait until it ends, or stop it$"
    with (
        held(journal),
        pytest.raises(LockedError, match=rf"another search has the study \S+ open{holder}"),
        held(journal),
    ):
        pass
    assert not journal.with_name("study.journal.holder").exists()
    assert load(journal).study_name == "study"


def test_a_driver_that_has_not_said_who_it_is_holds_it_as_well(journal: Path) -> None:
    with held(journal):
        journal.with_name("study.journal.holder").unlink()
        with pytest.raises(LockedError, match=r"study\.journal open: wait"), held(journal):
            pass


def test_a_place_that_can_not_be_written_is_told(journal: Path) -> None:
    journal.parent.write_bytes(b"")
    with (
        pytest.raises(ResultsError, match=r"can't be written \(File exists\): name"),
        held(journal),
    ):
        pass


def test_folders_that_do_not_exist_are_made(tmp_path: Path) -> None:
    assert states(load(tmp_path / "some" / "new" / "study.journal")) == []


def test_the_lock_is_where_check_looks_for_it(journal: Path) -> None:
    with held(journal):
        assert journal.with_name("study.journal.driver").exists()


def test_a_driver_that_can_not_say_who_it_is_goes_on(journal: Path) -> None:
    journal.with_name("study.journal.holder").mkdir(parents=True)
    assert states(load(journal)) == []
    assert states(load(journal)) == []


def test_a_lock_that_can_not_be_removed_is_told(journal: Path) -> None:
    Path(f"{journal}.lock").mkdir(parents=True)
    with pytest.raises(ResultsError, match=r"/study\.journal can't be written \(Is a directory\)"):
        load(journal)


def test_a_journal_that_can_not_be_made_is_told(journal: Path) -> None:
    journal.parent.mkdir()
    journal.symlink_to(journal.parent / "missing" / "study.journal")
    reason = r"/study\.journal can't be written \(No such file or directory\)"
    with pytest.raises(ResultsError, match=reason):
        load(journal)


def lose_the_lock_on_a_full_disk() -> None:
    """As Optuna does: the error that tells the reason is the context of the one that is raised."""
    try:
        raise OSError(errno.ENOSPC, "No space left")
    finally:
        raise RuntimeError("Error: did not possess lock")


def test_a_full_disk_is_told_even_if_the_lock_is_lost_as_well(journal: Path) -> None:
    reason = r"can't be written \(No space left\)"
    with pytest.raises(ResultsError, match=reason), _writing(journal):
        lose_the_lock_on_a_full_disk()


def test_a_study_writes_nothing_outside_its_folder(
    journal: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    os.utime(elsewhere, (0, 0))
    begin_trial(load(journal))
    # A file that was made and removed changes the folder's time as well.
    assert elsewhere.stat().st_mtime == 0


def test_a_study_is_kept_and_found_under_any_name(journal: Path) -> None:
    study = load(journal, "first")
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert isinstance(study.sampler, RandomSampler)
    study.tell(begin_trial(study), 0.1)
    moved = journal.rename(journal.with_name("renamed"))
    before = moved.read_bytes()
    again = load(moved, "second")
    assert again.study_name == "first"
    assert isinstance(again.sampler, RandomSampler)
    assert [trial.params for trial in again.get_trials()] == [{"learning_rate": 0.1}]
    assert moved.read_bytes() == before


def test_of_several_studies_the_named_one_is_taken(journal: Path) -> None:
    load(journal, "first")
    optuna.create_study(
        study_name="second", storage=JournalStorage(JournalFileBackend(str(journal)))
    )
    assert load(journal, "second").study_name == "second"
    assert load(journal, "third").study_name == "first"


def test_a_half_written_line_is_cut_off(journal: Path) -> None:
    study = load(journal)
    study.tell(begin_trial(study), 0.1)
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code": 4, "worker')
    assert states(load(journal)) == [TrialState.COMPLETE]
    assert journal.read_bytes() == whole


@pytest.mark.parametrize("left", [b"", b'{"op', b'{"op_code": 0, "worker_id"'])
def test_a_kill_in_the_first_line_leaves_a_new_study(journal: Path, left: bytes) -> None:
    journal.parent.mkdir()
    journal.write_bytes(left)
    assert states(load(journal)) == []


@pytest.mark.filterwarnings("error:The value None")
def test_trials_that_a_kill_left_have_failed(journal: Path) -> None:
    study = load(journal)
    study.tell(begin_trial(study, 0), 0.1)
    begin_trial(study, 1)
    begin_trial(study, 2)
    study.enqueue_trial({"learning_rate": 0.2}, user_attrs={INDEX: 3})
    failed = [TrialState.FAIL] * 3
    assert states(load(journal)) == [TrialState.COMPLETE, *failed]
    # What is mended stays so, without another line.
    before = journal.read_bytes()
    assert states(load(journal)) == [TrialState.COMPLETE, *failed]
    assert journal.read_bytes() == before


def test_the_lock_of_a_killed_writer_keeps_nobody_waiting(journal: Path) -> None:
    load(journal)
    Path(f"{journal}.lock").touch()
    begun = time.monotonic()
    begin_trial(load(journal))
    assert time.monotonic() - begun < 5
    assert not Path(f"{journal}.lock").exists()


def test_another_file_is_refused_and_left_as_it_is(journal: Path) -> None:
    journal.mkdir(parents=True)
    with pytest.raises(ResultsError, match=r"study.journal is a folder: name a file in it$"):
        load(journal)
    journal.rmdir()
    for content in (b"a,b\n1,2", b'{"op_cod": 1}'):
        journal.write_bytes(content)
        with pytest.raises(ResultsError, match=r"is no journal of a search: name another file$"):
            load(journal)
        assert journal.read_bytes() == content


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("not JSON", "Expecting value: line 1 column 1"),
        ('{"op_code": 99}', ".+"),
        ('{"op_code": 4, "trial_id": 7}', ".+"),
        ("[]", "list indices must be integers"),
    ],
)
def test_a_damaged_line_is_told_in_one(journal: Path, line: str, reason: str) -> None:
    begin_trial(load(journal))
    content = journal.read_bytes() + f"{line}\n".encode()
    journal.write_bytes(content)
    told_in_one = rf"study\.journal is damaged \({reason}.*\): remove it and run again$"
    with pytest.raises(ResultsError, match=told_in_one) as told:
        load(journal)
    assert "\n" not in str(told.value)
    assert journal.read_bytes() == content


def test_a_study_of_another_program_is_refused_and_left_as_it_is(journal: Path) -> None:
    journal.parent.mkdir()
    storage = JournalStorage(JournalFileBackend(str(journal)))
    optuna.create_study(study_name="theirs", storage=storage).ask()
    before = journal.read_bytes()
    with pytest.raises(
        StudyError, match=r"holds a study of another program \(theirs\): name another file$"
    ):
        load(journal)
    assert journal.read_bytes() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_told_and_finished_trials_are_kept(journal: Path) -> None:
    study = load(journal)
    kept = journal.rename(journal.with_name("kept"))
    journal.symlink_to("/dev/full")
    reason = (
        r"study\.journal can't be written \(No space left on device\): make room or name another "
        r"file, and run again; finished trials are kept$"
    )
    with pytest.raises(ResultsError, match=reason):
        begin_trial(study)
    journal.unlink()
    assert states(load(kept)) == []


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The journal of a study of two trials."""
    journal = tmp_path_factory.mktemp("written") / "study.journal"
    study = load(journal)
    for index in range(2):
        study.tell(begin_trial(study, index), 1.0)
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
            load(journal)
        except (ResultsError, StudyError) as error:
            said = str(error)
        assert "\n" not in said
