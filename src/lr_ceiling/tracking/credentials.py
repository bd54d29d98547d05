"""Texts without the passwords that a store's URI may carry."""

import re

# As in http://user:password@host, and as in postgresql://host/runs?password=...
USER = re.compile(r"(?<=://)[^\s'\"<>/][^\s'\"<>]*@")
SECRET = re.compile(r"(?i)(?<=[?&])([^\s=&]*(?:pass|pwd|secret|token|key)[^\s=&]*)=[^\s&'\"<>)]*")


def hide(text: str) -> str:
    """`text` with no credentials in the URIs that it holds.

    >>> hide("no answer from http://me:secret@example.org/runs")
    'no answer from http://example.org/runs'
    """
    return SECRET.sub(r"\1=...", USER.sub("", text))
