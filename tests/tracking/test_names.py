"""Names of runs and models: they tell runs apart where the UI cuts them, and MLflow takes them."""

from logged import make_run
from lr_ceiling.report.figures import VARIANT_COLOURS
from lr_ceiling.tracking.names import COLOURS, group_of, model_name, run_name, trial_name


def test_names_begin_with_what_tells_runs_apart() -> None:
    run = make_run(seed=7, variant="batchnorm", learning_rate=2e5)
    assert run_name(run.spec) == "batchnorm seed=7 relu lr=200,000"
    assert trial_name(run.spec, 12) == "batchnorm trial=12 relu lr=200,000"
    assert group_of(run) == "relu lr=200,000"


def test_a_models_name_is_one_that_mlflow_takes() -> None:
    # MLflow refuses each of these characters.
    assert model_name(make_run(learning_rate=0.003).spec) == "baseline-relu-0_003-seed-0"
    assert not set("/:.%\"'") & set(model_name(make_run(learning_rate=1.5e-5).spec))


def test_the_colours_are_those_of_the_report() -> None:
    assert COLOURS == VARIANT_COLOURS
