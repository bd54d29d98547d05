"""Linear algebra in one thread, because sums over several threads give other last digits.

A study's trials and its answer must be the same on any number of cores. A Cholesky factor of 201
rows by OpenBLAS differs between one thread and two.
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from threadpoolctl import ThreadpoolController

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# It controls the libraries that are loaded already, so modules here import NumPy first.
_CONTROLLER = ThreadpoolController()


def one_thread(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """The function, with its linear algebra limited to one thread."""

    @wraps(function)
    def alone(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with _CONTROLLER.limit(limits=1, user_api="blas"):
            return function(*args, **kwargs)

    return alone
