"""Linear algebra in one thread: a sum over several threads ends in other digits.

A study's trials and its answer are the same on any number of cores, so what they follow from must
be. A Cholesky factor of 201 rows by OpenBLAS differs between one thread and two.
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from threadpoolctl import ThreadpoolController

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# It knows the libraries that were loaded before: this room's modules import NumPy first.
_CONTROLLER = ThreadpoolController()


def one_thread(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """The function, whose linear algebra takes one thread."""

    @wraps(function)
    def alone(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with _CONTROLLER.limit(limits=1, user_api="blas"):
            return function(*args, **kwargs)

    return alone
