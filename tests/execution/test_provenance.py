"""The facts of executions."""

from pathlib import Path

import pytest

from lr_ceiling.execution import provenance


def test_facts_of_another_form_count_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert provenance.read_facts("abc") is None
    provenance.write_facts("abc", started=1.0, seconds=2.0)
    found = provenance.read_facts("abc")
    assert found is not None
    assert (found.started, found.seconds, found.commit) == (1.0, 2.0, None)
    (tmp_path / "state" / "facts" / "abc.json").write_text('{"started": "')
    assert provenance.read_facts("abc") is None
