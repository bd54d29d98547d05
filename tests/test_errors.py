"""Errors: one tree, told in one line; bugs keep their traceback."""

import inspect

import pytest

from lr_ceiling import errors


def test_every_error_is_in_the_tree_and_its_picture() -> None:
    found = [value for _, value in inspect.getmembers(errors, inspect.isclass)
             if issubclass(value, Exception)]  # fmt: skip
    assert len(found) > 5
    assert all(issubclass(error, errors.LrCeilingError) for error in found)
    assert all(error.__name__ in (errors.__doc__ or "") for error in found)


def test_ours_is_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    @errors.one_line_errors
    def command() -> None:
        raise errors.DatasetError("data/mnist.npz holds 3 arrays: fetch it again")

    with pytest.raises(SystemExit) as stop:
        command()
    assert stop.value.code == 1
    assert capsys.readouterr().err == "error: data/mnist.npz holds 3 arrays: fetch it again\n"


def test_a_bug_keeps_its_traceback() -> None:
    @errors.one_line_errors
    def command() -> None:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        command()
