"""`python -m faults.fuzz READER`: atheris feeds changed files to a reader of foreign files.

A reader may refuse a file by the errors that it promises, in one line. Any other exception, a hang
and more than 4 GB of memory end the command with libFuzzer's report, and the file is kept.
`make fuzz` installs atheris (https://github.com/google/atheris), and runs this for all readers.
"""

import sys
import tempfile
from pathlib import Path

import atheris
import click

# What takes part in reading.
READING = ["lr_ceiling", "gzip", "zipfile", "tarfile", "PIL", "ruamel.yaml"]
with atheris.instrument_imports(include=READING):
    from faults.readers import READERS, try_one

# The files that atheris found to take new paths, and the first one, which is whole.
CORPUS = Path("state/faults/fuzz")
OPTIONS = ("-rss_limit_mb=4096", "-timeout=60", "-max_len=20000", "-print_final_stats=1")


@click.command()
@click.argument("name", type=click.Choice(list(READERS)))
@click.option("--minutes", type=float, default=10, show_default=True)
def main(name: str, minutes: float) -> None:
    """Feed changed files to a reader. Those that take new paths are kept in state/faults/fuzz."""
    corpus = CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    READERS[name].write(corpus / "whole")
    with tempfile.TemporaryDirectory(prefix="lr-ceiling-fuzz-") as folder:
        path = Path(folder) / "file"

        def try_content(content: bytes) -> None:
            path.write_bytes(content)
            try_one(name, path)

        arguments = [sys.argv[0], str(corpus), f"-max_total_time={round(60 * minutes)}", *OPTIONS]
        atheris.Setup(arguments, try_content)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
