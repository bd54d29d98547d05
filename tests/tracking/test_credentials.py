"""No credentials in what is printed."""

import pytest

from lr_ceiling.tracking import hide

PATH = "sqlite:////home/me@work/mlruns/mlflow.db"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:secret@example.org:5000/a", "http://example.org:5000/a"),
        ("at http://secret@example.org, and", "at http://example.org, and"),
        # Neither is escaped as it should be.
        ("postgresql+psycopg2://me:sec/r@et@db/runs", "postgresql+psycopg2://db/runs"),
        ("mysql://db/runs?password=secret&ssl=1", "mysql://db/runs?password=...&ssl=1"),
        (
            "'https://db/?sslKey=secret&auth_token=secret'",
            "'https://db/?sslKey=...&auth_token=...'",
        ),
        ("me@example.org about http://example.org", "me@example.org about http://example.org"),
        (PATH, PATH),
    ],
)
def test_credentials_are_hidden(text: str, shown: str) -> None:
    assert hide(text) == shown
