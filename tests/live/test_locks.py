"""One at a time, and the next one after it."""

from pathlib import Path

import pytest

from lr_ceiling.errors import LockedError
from lr_ceiling.live.locks import alone


def test_another_one_is_told_who_holds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with alone("work", "another worker"), alone("other", "nobody"):
        said = f"another worker holds {tmp_path}/state/work.lock: wait for its end and try again"
        with pytest.raises(LockedError) as error, alone("work", "another worker"):
            pass
    assert str(error.value) == said
    with alone("work", "another worker"):
        pass
