"""A simulation's results, made by hand."""

from lr_ceiling.simulation.scores import OracleResult


def small_oracle(**changes: object) -> OracleResult:
    """What a simulation found of an oracle, with some of it changed."""
    found = {
        "name": "logistic-0.05",
        "well_specified": True,
        "transition_decades": 0.05,
        "failure_cost": 0.1,
        "studies": 1000,
        "coverage_lr50": 0.99,
        "coverage_lr90": 0.958,
        "coverage_usable": None,
        "coverage_pooled_lr50": 0.96,
        "coverage_pooled_lr90": 0.95,
        "coverage_pooled_usable": None,
        "one_sided_lr90": None,
        "claims_a_ceiling": 1.0,
        "exists": 0.97,
        "bias_decades": -0.0001,
        "error_decades": 0.02,
        "interval_decades": 0.25,
        "usable_decades": None,
        "trials": 20.0,
        "full_run_equivalents": 9.3,
        "spent": {"edge": 9.3, "confirm": 2.5, "usable": 0.0},
        "widened": 0.01,
        "peers": [
            {
                "name": "grid",
                "configuration": "25 points",
                "full_run_equivalents": None,
                "full_run_equivalents_ci95": [63, None],
                "steps_ratio_at_equal_error": None,
                "at_least": 10.7,
            }
        ],
    }
    return OracleResult.model_validate(found | changes)
