"""What runs and models are called in MLflow, and the colours of their curves."""

from lr_ceiling.mnist.results import RunResult
from lr_ceiling.mnist.specification import RunSpec, Variant
from lr_ceiling.rounding import short

# Those of the report. The UI's own choice may give both runs of a pair the same colour.
COLOURS: dict[Variant, str] = {"baseline": "#d55e00", "batchnorm": "#0072b2"}


def run_name(spec: RunSpec) -> str:
    """A run's name; the UI cuts names at their ends, so what tells runs apart comes first."""
    return f"{spec.variant} seed={spec.seed} {_cell(spec)}"


def trial_name(spec: RunSpec, index: int) -> str:
    """A trial's name: its seed has ten digits, and tells people nothing."""
    return f"{spec.variant} trial={index} {_cell(spec)}"


def model_name(spec: RunSpec) -> str:
    """A model's name, by cell and seed."""
    # MLflow takes no point in it.
    rate = short(spec.learning_rate, 4).replace(".", "_")
    return f"{spec.variant}-{spec.activation}-{rate}-seed-{spec.seed}"


def group_of(run: RunResult) -> str:
    """The runs that are to be compared side by side: the two variants and their seeds."""
    return _cell(run.spec)


def colour_of(variant: Variant) -> str:
    """The colour of a run's curves and dots."""
    return COLOURS[variant]


def _cell(spec: RunSpec) -> str:
    return f"{spec.activation} lr={short(spec.learning_rate, 4)}"
