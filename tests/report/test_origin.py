"""What results follow from, and when and where they were executed."""

from pathlib import Path

import pytest

from conftest import small_run
from lr_ceiling.execution.provenance import commit, machine, write_facts
from lr_ceiling.mnist.version import engine_digest
from lr_ceiling.report.findings import Findings
from lr_ceiling.report.origin import SHOWN, executed_by, origin_of


def test_results_follow_from_specifications_and_engine(findings: Findings) -> None:
    origin = origin_of(findings)
    # 18 runs of 20 steps, and a trial a search that was ended after 15.
    assert (origin.runs, origin.steps) == (20, 18 * 20 + 2 * 15)
    assert origin.engine == engine_digest()
    assert tuple(origin.versions) == SHOWN
    fewer = Findings(dict(list(findings.cells.items())[:1]), findings.searches, findings.critical)
    assert origin_of(fewer).params != origin.params


def test_executions_are_told_as_far_as_they_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    runs = [small_run(seed=seed) for seed in range(3)]
    assert executed_by(runs) is None
    write_facts(runs[0].spec.key, started=7200.0, seconds=1800.0)
    write_facts(runs[1].spec.key, started=3600.0, seconds=5400.0)
    executed = executed_by(runs)
    assert executed
    assert (executed.runs, executed.started) == (2, "1970-01-01 01:00")
    assert executed.core_hours == 2
    assert executed.machines == [machine()]
    assert executed.commits == list(filter(None, [commit()]))
