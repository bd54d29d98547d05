"""Tasks for worker processes, in a module that these import in milliseconds."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from lr_ceiling.execution.runner import Report


@dataclass(frozen=True)
class Square:
    """Takes `number` steps, tells where it runs, and gives the square."""

    number: int
    wait: float = 0.0
    marks: Path | None = None

    def __call__(self, report: Report) -> int:
        if self.marks:
            (self.marks / f"{self.number}-{os.getpid()}").touch()
        for step in range(self.number):
            report(step + 1)
        time.sleep(self.wait)
        return self.number**2

    def __str__(self) -> str:
        return f"the square of {self.number}"


@dataclass(frozen=True)
class Failing:
    """Raises."""

    def __call__(self, report: Report) -> None:
        raise ArithmeticError("so it is")


@dataclass(frozen=True)
class Suicidal:
    """Ends its process."""

    def __call__(self, report: Report) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def __str__(self) -> str:
        return "a hopeless task"


@dataclass(frozen=True)
class Copying:
    """Copies a file, and says where each of the two was."""

    source: Path
    target: Path

    def __call__(self, report: Report) -> tuple[str, str]:
        self.target.write_bytes(self.source.read_bytes().upper())
        return str(self.source), str(self.target)


class Settings:
    """Tells what decides the arithmetic of its process."""

    def __call__(self, report: Report) -> dict[str, object]:
        import keras
        import tensorflow as tf

        return {
            "backend": keras.config.backend(),
            "floatx": keras.config.floatx(),
            "epsilon": keras.config.epsilon(),
            "image_data_format": keras.config.image_data_format(),
            "max_epochs": keras.config.max_epochs(),
            "threads": [
                tf.config.threading.get_intra_op_parallelism_threads(),
                tf.config.threading.get_inter_op_parallelism_threads(),
            ],
            "gpus": len(tf.config.get_visible_devices("GPU")),
        }
