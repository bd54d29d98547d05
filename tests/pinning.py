"""What makes a worker ready as the pipeline's own does, without TensorFlow."""

from lr_ceiling.problems.environment import pin

pin()


def prepare() -> None:
    """Nothing more."""
