"""The gate on real models, a real registry and images that no training saw."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pytest

from conftest import (
    arm_of,
    put_forward,
    small_run,
    small_usable,
    write_ceilings,
    write_validation,
)
from lr_ceiling import tracking
from lr_ceiling.errors import LockedError, RegistryError, ResultsError, TrackingError
from lr_ceiling.execution.files import sha256_of
from lr_ceiling.execution.provenance import commit
from lr_ceiling.live import card, gate, registry
from lr_ceiling.live.gate import Decision, Terms, choose
from lr_ceiling.live.predictor import Predictor, as_input
from lr_ceiling.live.registry import Registry, Version
from lr_ceiling.mnist import dataset
from lr_ceiling.mnist.results import RunResult, write_runs

Trained = list[tuple[RunResult, Path]]
# The drawn digits' gate has 100 images: equal models have their lower limit at -0.037.
TERMS = Terms(model="digits", margin=0.1, floor=0.5)


@pytest.fixture(scope="module")
def predictor() -> Iterator[Predictor]:
    with Predictor() as predictor:
        yield predictor


class Gate:
    """A project in which one model after another is put forward."""

    def __init__(self, project: Path, splits: Path, trained: Trained, predictor: Predictor) -> None:
        self.project = project
        self._splits = splits
        self._trained = trained
        self._predictor = predictor

    def lay_out(self, number: int) -> None:
        """Leave the files of a pipeline whose best model is that of `trained`."""
        put_forward(self.project, self._splits, *self._trained[number])

    def promote(
        self, number: int, terms: Terms = TERMS, without_champion: bool = False
    ) -> Decision:
        self.lay_out(number)
        return gate.promote(terms, self._predictor, without_champion=without_champion)

    @property
    def versions(self) -> list[Version]:
        with tracking.open_store() as store:
            return Registry(store, "digits").history()

    @property
    def aliases(self) -> dict[str, int]:
        return {alias: one.number for one in self.versions for alias in one.aliases}


@pytest.fixture
def at_gate(project: Path, small_splits: Path, trained: Trained, predictor: Predictor) -> Gate:
    return Gate(project, small_splits, trained, predictor)


def failed(decision: Decision) -> list[str]:
    return [check.name for check in decision.checks if not check.passed]


def test_the_first_model_is_judged_by_the_floor_alone(at_gate: Gate, trained: Trained) -> None:
    decision = at_gate.promote(0)
    assert (decision.decision, decision.live, decision.champion) == ("promoted", 1, None)
    *_, floor, champion = decision.checks
    assert decision.reason == f"{floor.detail}; {champion.detail}"
    assert "the floor is 0.5" in floor.detail
    assert champion.detail.endswith("there is no champion to be held against yet")
    told = "baseline-relu-0.003: learning rate 0.003 is at or below the usable 1"
    assert told in [check.detail for check in decision.checks]
    assert at_gate.aliases == {"champion": 1}
    written = json.loads((at_gate.project / "state" / "promotion.json").read_text())
    assert written == decision.model_dump(mode="json")
    (version,) = at_gate.versions
    assert version.tags["decision"] == "promoted"
    assert json.loads(version.tags["ceilings"]) == {"baseline-relu": 0.01}
    challenger = decision.challenger
    assert challenger
    assert challenger.measured
    assert challenger.latency_ms
    assert version.tags["gate_accuracy"] == f"{challenger.measured.accuracy.estimate:.4f}"
    assert decision.decided.endswith("+00:00")
    run, model = trained[0]
    assert challenger.origin == {
        "cell": "baseline-relu-0.003",
        "seed": "0",
        "run_key": run.spec.key,
        "learning_rate": "0.003",
        "ceiling": "1",
        "data_digest": run.spec.data_digest,
        "commit": commit() or "unknown",
        "bytes": str(model.stat().st_size),
        "sha256": sha256_of(model),
    }


def description_of(version: int) -> str:
    with tracking.open_store() as store:
        return str(store.client.get_model_version("digits", str(version)).description or "")


def test_what_goes_live_has_a_model_card_and_what_does_not_has_none(
    at_gate: Gate, trained: Trained
) -> None:
    first = at_gate.promote(0)
    written = (at_gate.project / "state" / "model-card.md").read_text()
    assert description_of(1) == written
    assert "there was no champion to be held against" in written
    spec = trained[0][0].spec
    challenger = first.challenger
    assert challenger
    assert challenger.measured
    accuracy = challenger.measured.accuracy
    low, high = (100 * limit for limit in accuracy.ci95)
    for fact in (
        "# digits, version 1",
        f"`{challenger.origin['cell']}`, {spec.seed}",
        f"digest `{spec.data_digest}`",
        f"SHA-256 `{challenger.origin['sha256']}`",
        "no accuracy is lost up to 1 (0.5 to 2)",
        f"{100 * accuracy.estimate:.2f}% ({low:.2f} to {high:.2f}); the floor is 50%",
        "Measured on 100 gate images",
    ):
        assert fact in written
    # A refusal changes no card of what is live.
    at_gate.promote(2, Terms(model="digits", margin=0.1, floor=0.2))
    assert (at_gate.project / "state" / "model-card.md").read_text() == written
    assert description_of(2) == ""


def test_the_card_tells_the_difference_from_the_champion_and_fits_mlflows_databases(
    at_gate: Gate,
) -> None:
    at_gate.promote(0)
    paired = at_gate.promote(1).paired
    assert paired
    written = description_of(2)
    assert f"| difference | {100 * paired.difference.estimate:+.2f} points (" in written
    assert "against version 1 on the same images" in written
    assert len(written) < card.MAX_LENGTH
    # Tables and lists are markdown's: each row is a line of its own.
    assert all(line.count("|") == 3 for line in written.splitlines() if line.startswith("|"))


def test_what_is_live_is_loaded_by_plain_mlflow(
    at_gate: Gate, small_splits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_gate.promote(0)
    # MLflow sets the variable too, and would leave it to the tests that follow.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.store_uri())
    mlflow.set_tracking_uri(tracking.store_uri())
    live = mlflow.pyfunc.load_model("models:/digits@champion")
    part = dataset.read_split(small_splits, "gate")
    predicted = np.asarray(live.predict(as_input(part.images))).argmax(axis=1)
    assert (predicted == part.labels).mean() > 0.9


def test_a_first_model_below_the_floor_is_refused(at_gate: Gate) -> None:
    decision = at_gate.promote(2)
    assert (decision.decision, decision.live) == ("refused", None)
    assert failed(decision) == ["floor"]
    assert "the floor is 0.5" in decision.reason
    assert at_gate.aliases == {"challenger": 1}


def test_a_model_that_is_no_worse_takes_the_champions_place(at_gate: Gate) -> None:
    at_gate.promote(0)
    decision = at_gate.promote(1)
    assert (decision.decision, decision.live) == ("promoted", 2)
    assert at_gate.aliases == {"champion": 2, "previous": 1}
    assert decision.paired
    assert decision.paired.difference.ci95[0] > -TERMS.margin
    difference = f"{decision.paired.difference.estimate:+.4f}"
    assert at_gate.versions[1].tags["gate_difference"] == difference
    assert decision.champion
    assert decision.champion.version == 1
    assert decision.champion.measured


def test_a_worse_model_is_refused_and_the_champion_stays(at_gate: Gate) -> None:
    at_gate.promote(0)
    decision = at_gate.promote(2, Terms(model="digits", margin=0.1, floor=0.2))
    assert (decision.decision, decision.live) == ("refused", 1)
    assert "champion" in failed(decision)
    assert "against version 1 its accuracy is -" in decision.reason
    assert decision.paired
    low, high = (100 * limit for limit in decision.paired.difference.ci95)
    assert f" points ({low:+.2f} to {high:+.2f}); the limit is -10.00" in decision.reason
    assert at_gate.aliases == {"champion": 1, "challenger": 2}
    assert at_gate.versions[1].tags["decision"] == "refused"


def test_a_margin_below_what_the_images_can_tell_refuses_an_equal(at_gate: Gate) -> None:
    at_gate.promote(0)
    decision = at_gate.promote(1, Terms(model="digits", margin=0.01, floor=0.5))
    assert failed(decision) == ["champion"]


def test_the_champion_itself_is_nothing_to_decide(at_gate: Gate) -> None:
    at_gate.promote(0)
    decision = at_gate.promote(0)
    assert (decision.decision, decision.live, decision.gate_images) == ("unchanged", 1, 0)
    assert decision.reason == "the best model is already live (version 1)"
    assert len(at_gate.versions) == 1
    assert at_gate.versions[0].tags["decision"] == "promoted"


def test_data_that_failed_its_validation_promotes_nothing(at_gate: Gate) -> None:
    at_gate.lay_out(0)
    write_validation(at_gate.project, success=False)
    decision = gate.promote(TERMS, at_gate._predictor)
    assert (decision.decision, failed(decision)) == ("refused", ["data"])
    assert at_gate.versions == []


def test_without_a_usable_rate_nothing_is_put_forward(at_gate: Gate, trained: Trained) -> None:
    at_gate.lay_out(0)
    write_ceilings(at_gate.project, arm_of(trained[0][0], usable=None))
    decision = gate.promote(TERMS, at_gate._predictor)
    assert (decision.decision, failed(decision)) == ("refused", ["ceiling"])
    assert at_gate.versions == []


def test_a_lost_champion_is_not_replaced_unasked(at_gate: Gate) -> None:
    at_gate.promote(0)
    shutil.rmtree(at_gate.versions[0].source)
    decision = at_gate.promote(1)
    assert (decision.decision, decision.live) == ("refused", 1)
    assert "the champion is lost" in decision.reason
    assert "--without-champion" in decision.reason
    decision = at_gate.promote(1, without_champion=True)
    assert (decision.decision, decision.live) == ("promoted", 2)


def test_a_lost_champion_is_not_taken_for_itself(at_gate: Gate) -> None:
    at_gate.promote(0)
    shutil.rmtree(at_gate.versions[0].source)
    decision = at_gate.promote(0)
    assert (decision.decision, failed(decision)) == ("refused", ["loads"])


def test_another_model_under_the_challengers_name_is_refused(
    at_gate: Gate, trained: Trained
) -> None:
    at_gate.promote(0)
    at_gate.promote(1, Terms(model="digits", margin=0.0, floor=0.5))
    shutil.copy(trained[0][1], Path(at_gate.versions[1].source) / "data" / "model.keras")
    decision = at_gate.promote(1)
    assert failed(decision) == ["same"]
    assert decision.reason == "the registered model predicts otherwise than the trained file"
    assert at_gate.aliases == {"champion": 1, "challenger": 2}


def test_what_was_rolled_back_does_not_come_back_by_itself(at_gate: Gate) -> None:
    at_gate.promote(0)
    at_gate.promote(1)
    with tracking.open_store() as store:
        Registry(store, "digits").rollback()
    decision = at_gate.promote(1)
    assert failed(decision) == ["not rolled back"]
    assert at_gate.aliases == {"champion": 1, "challenger": 2, "previous": 2}
    assert at_gate.versions[1].tags["decision"] == "promoted"
    with tracking.open_store() as store:
        Registry(store, "digits").rollback()
    assert at_gate.aliases == {"champion": 2, "previous": 1}


def test_what_was_rolled_back_does_not_come_back_under_another_number(
    at_gate: Gate, trained: Trained
) -> None:
    at_gate.promote(0)
    at_gate.promote(1)
    with tracking.open_store() as store:
        Registry(store, "digits").rollback()
        # Changed code gives the same run another result; then the first one is logged anew.
        run, _ = trained[1]
        cell = f"{run.spec.variant}-{run.spec.activation}-{run.spec.learning_rate}"
        other = run.model_copy(update={"label": "slow"})
        store.log_train(cell, [other], at_gate.project / "data/models" / cell)
    decision = at_gate.promote(1)
    assert decision.challenger
    assert decision.challenger.version == 3
    assert failed(decision) == ["not rolled back"]
    assert decision.reason.startswith("version 2, this model, was rolled back: `lr-ceiling")
    assert at_gate.aliases == {"champion": 1, "challenger": 3, "previous": 2}


def test_a_crash_after_the_evaluation_leaves_the_champion(
    at_gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_gate.promote(0)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Registry, "promote", crash)
        with pytest.raises(KeyboardInterrupt):
            at_gate.promote(1)
    assert at_gate.aliases == {"champion": 1, "challenger": 2}
    assert at_gate.promote(1).live == 2


def test_two_promotions_do_not_meet(at_gate: Gate) -> None:
    with registry.one_at_a_time(), pytest.raises(LockedError, match="another promotion"):
        at_gate.promote(0)
    assert at_gate.versions == []


def test_a_store_that_is_away_changes_nothing(
    at_gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(TrackingError, match=r"MLflow at http://127\.0\.0\.1:9 failed"):
        at_gate.promote(0)
    assert not (at_gate.project / "state" / "promotion.json").exists()


def test_models_of_other_data_are_refused_in_one_line(at_gate: Gate, trained: Trained) -> None:
    run, model = trained[0]
    spec = run.spec.model_copy(update={"data_digest": "0" * 16})
    put_forward(at_gate.project, at_gate._splits, run.model_copy(update={"spec": spec}), model)
    with pytest.raises(ResultsError, match="was trained on other data than"):
        gate.promote(TERMS, at_gate._predictor)


def test_a_cell_without_a_run_is_told_in_one_line(at_gate: Gate) -> None:
    at_gate.lay_out(0)
    write_runs(at_gate.project / "data" / "train" / "empty" / "runs.json", [])
    with pytest.raises(ResultsError, match="empty holds no run: remove it"):
        gate.promote(TERMS, at_gate._predictor)


def test_a_project_without_runs_is_told_what_makes_them(at_gate: Gate) -> None:
    at_gate.lay_out(0)
    shutil.rmtree(at_gate.project / "data" / "train")
    with pytest.raises(ResultsError, match=r"no runs in data/train: run `dvc repro` to make them"):
        gate.promote(TERMS, at_gate._predictor)


def test_a_missing_model_says_what_to_do(at_gate: Gate) -> None:
    at_gate.lay_out(0)
    shutil.rmtree(at_gate.project / "data" / "models")
    with pytest.raises(ResultsError, match=r"seed-0\.keras is missing: run `dvc repro`"):
        gate.promote(TERMS, at_gate._predictor)


def runs_at(rate: float, *accuracies: float) -> list[RunResult]:
    return [
        small_run(seed=seed, learning_rate=rate, validation_accuracy=accuracy)
        for seed, accuracy in enumerate(accuracies)
    ]


def test_the_best_seed_of_the_best_mean_at_or_below_the_usable_rate_is_chosen() -> None:
    cells = {
        "low": runs_at(0.001, 0.95, 0.99),
        "at": runs_at(0.01, 0.98, 0.97),
        "above": runs_at(0.02, 1.0, 1.0),
    }
    arms = [arm_of(small_run(), usable=0.01)]
    chosen = choose(cells, arms, Path("models"))
    assert chosen
    assert (chosen.cell, chosen.run.spec.seed, chosen.ceiling) == ("at", 0, 0.01)
    assert chosen.file == Path("models/at/seed-0.keras")


def test_a_lower_limit_counts_where_there_is_no_upper_one() -> None:
    limit = small_usable(estimate=None, ci95=(0.01, None))
    arm = arm_of(small_run()).model_copy(update={"usable": limit})
    cells = {"at": runs_at(0.01, 0.97), "above": runs_at(0.02, 1.0)}
    chosen = choose(cells, [arm], Path())
    assert chosen
    assert chosen.cell == "at"


@pytest.mark.parametrize(
    "other",
    [{"variant": "batchnorm"}, {"optimizer": "sgd"}, {"target": 0.97}, {"horizon_steps": 7}],
    ids=lambda other: next(iter(other)),
)
def test_a_ceiling_of_another_arm_target_or_horizon_does_not_count(other: object) -> None:
    arm = arm_of(small_run(), usable=1.0)
    assert isinstance(other, dict)
    cells = {"cell": runs_at(0.001, 0.95)}
    assert choose(cells, [arm], Path())
    assert choose(cells, [arm.model_copy(update=other)], Path()) is None


def test_a_refused_beginning_anew_forgets_no_champion(
    at_gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_gate.promote(0)
    (at_gate.project / "other").mkdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other/mlflow.db")
    with pytest.raises(RegistryError, match="but version 1 was live"):
        at_gate.promote(0)
    above = Terms(TERMS.model, TERMS.margin, floor=1.0)
    refused = at_gate.promote(0, above, without_champion=True)
    assert (refused.decision, refused.live) == ("refused", None)
    with pytest.raises(RegistryError, match="but version 1 was live"):
        at_gate.promote(0)
