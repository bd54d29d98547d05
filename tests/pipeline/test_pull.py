"""`lr-ceiling pull`, from a real HTTP server, in a project of one stage."""

import shutil
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import dvc_http
import pytest
from click.testing import CliRunner, Result
from dvc.exceptions import DownloadError
from dvc.repo import Repo

from lr_ceiling.pipeline.commands import pull

STAGE = """
stages:
  make:
    cmd: >-
      mkdir -p data/models && echo 1 > data/models/one && echo 2 > data/models/two &&
      echo 3 > data/runs
    outs: [data/models, data/runs]
"""
COMMITTED = ("dvc.yaml", "dvc.lock", ".dvc/config")


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder; the requests are not logged."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class Refusing(Handler):
    """Refuses every request."""

    def do_HEAD(self) -> None:
        self.send_error(403)

    do_GET = do_HEAD  # noqa: N815


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose results were pushed to the folder `remote` in it."""
    project = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        Repo.init(no_scm=True).close()
        Path("dvc.yaml").write_text(STAGE)
        with Repo(config={"remote": {"store": {"url": str(project / "remote")}}}) as repo:
            repo.reproduce()
            repo.push(remote="store")
    return project


@pytest.fixture
def remote(made: Path, tmp_path: Path) -> Path:
    """The objects of the remote, in a copy that a test may damage."""
    shutil.copytree(made / "remote", tmp_path / "remote")
    return tmp_path / "remote" / "files" / "md5"


@pytest.fixture
def address(remote: Path) -> Iterator[str]:
    yield from served(partial(Handler, directory=remote.parents[1]))


def served(handler: type[Handler] | partial[Handler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a fresh clone of the project has, as the current folder."""
    clone = tmp_path / "clone"
    for name in COMMITTED:
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(made / name, clone / name)
    monkeypatch.chdir(clone)
    # Five attempts with pauses take three seconds.
    monkeypatch.setattr(dvc_http.HTTPFileSystem, "SESSION_RETRIES", 1)
    return clone


def pulled(address: str, *options: str) -> Result:
    with Repo() as repo, repo.config.edit("repo") as config:
        config["core"]["remote"] = "results"
        config["remote"]["results"] = {"url": address}
    return CliRunner().invoke(pull.main, options)


def fault(result: Result) -> str:
    """The one line of an error."""
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("error: ").rstrip()


def object_of(path: str, made: Path, remote: Path) -> Path:
    """The object of an output, or of a file in one."""
    with Repo(made) as repo:
        top, _, name = path.partition("/models/")
        (out,) = (out for out in repo.index.outs if str(out) in (path, f"{top}/models"))
        digest: str = out.hash_info.value
        if name:
            digest = out.get_obj().get((name,))[1].value
    return remote / digest[:2] / digest[2:]


def test_all_results_come_and_nothing_is_left_to_run(project: Path, address: str) -> None:
    result = pulled(address)
    assert result.exit_code == 0, result.output
    assert result.stdout == "4 objects fetched; all 2 outputs of dvc.lock are here\n"
    assert (project / "data/models/two").read_text() == "2\n"
    assert (project / "data/runs").read_text() == "3\n"
    with Repo() as repo:
        assert repo.status() == {}


def test_what_is_here_needs_no_remote(project: Path, address: str, remote: Path) -> None:
    assert pulled(address).exit_code == 0
    shutil.rmtree(remote)
    (project / "data/runs").unlink()
    assert pulled(address).stdout.startswith("0 objects fetched; ")
    assert (project / "data/runs").read_text() == "3\n"


@pytest.mark.parametrize("path", ["data/runs", "data/models/two", "data/models"])
def test_a_damaged_object_of_the_cache_is_fetched_again(
    path: str, made: Path, project: Path, address: str
) -> None:
    assert pulled(address).exit_code == 0
    stored = object_of(path, made, project / ".dvc/cache/files/md5")
    intact = stored.read_bytes()
    stored.chmod(0o644)
    stored.write_bytes(b"[{}]")
    # DVC trusts what is read-only.
    stored.chmod(0o444)
    shutil.rmtree(project / "data")
    result = pulled(address)
    assert result.stdout.startswith("1 objects fetched; ")
    assert stored.read_bytes() == intact
    assert (project / "data/models/two").read_text() == "2\n"
    assert (project / "data/runs").read_text() == "3\n"


def test_a_changed_result_is_overwritten_by_force_alone(project: Path, address: str) -> None:
    (project / "data").mkdir()
    (project / "data/runs").write_text("mine\n")
    assert "data/runs" in fault(pulled(address))
    assert (project / "data/runs").read_text() == "mine\n"
    assert pulled(address, "--force").exit_code == 0
    assert (project / "data/runs").read_text() == "3\n"


@pytest.mark.parametrize(
    ("path", "damage"),
    [
        ("data/runs", b"[]"),
        ("data/models/two", b"[]"),
        ("data/models", b"[]"),
        ("data/models", b"<html>"),
        ("data/models", b'[{"md5'),
        ("data/models", b"[1]"),
        ("data/models", b"[{}]"),
    ],
)
def test_an_object_that_is_missing_or_damaged_is_named(
    path: str, damage: bytes, made: Path, project: Path, address: str, remote: Path
) -> None:
    stored = object_of(path, made, remote)
    intact = stored.read_bytes()
    stored.write_bytes(damage)
    told = fault(pulled(address))
    assert told.startswith(f"the remote {address} has damaged copies of {path}; `make repro`")
    stored.unlink()
    told = fault(pulled(address))
    assert told.startswith(f"the remote {address} lacks {path}; `make repro`")
    stored.write_bytes(intact)
    assert pulled(address).exit_code == 0


def test_a_remote_that_does_not_answer_is_named(project: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as closed:
        address = f"http://127.0.0.1:{closed.server_port}"
    told = fault(pulled(address))
    assert told.startswith(f"the remote {address} can't be read: Cannot connect to host 127.0.0.1")


def test_a_remote_that_refuses_is_named(project: Path) -> None:
    for address in served(Refusing):
        assert fault(pulled(address)).startswith(f"the remote {address} can't be read: 403, ")


def test_no_message_has_the_password_of_a_remote(project: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as closed:
        port = closed.server_port
    told = fault(pulled(f"http://user:secret@127.0.0.1:{port}"))
    assert told.startswith(f"the remote http://127.0.0.1:{port} can't be read: ")
    assert "secret" not in told


def test_a_cache_that_can_not_be_written_is_not_the_remotes_fault(
    project: Path, address: str
) -> None:
    cache = project / ".dvc" / "cache" / "files"
    cache.parent.mkdir(parents=True)
    cache.write_text("")
    assert "Not a directory" in fault(pulled(address))


def test_objects_that_do_not_come_though_the_remote_has_them_are_told(
    project: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*given: object, **named: object) -> None:
        raise DownloadError(4)

    with monkeypatch.context() as passing:
        passing.setattr(Repo, "fetch", cut_off)
        told = fault(pulled(address))
    assert told.startswith(
        f"data/models, data/runs did not come, but the remote {address} has sound copies: "
        "try again, and if it fails again, look whether the disk is full; `make repro`"
    )
    assert pulled(address).exit_code == 0


def test_an_error_without_a_cause_in_the_objects_is_a_bug(
    project: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pulled(address).exit_code == 0

    def broken(*given: object, **named: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(Repo, "fetch", broken)
    assert isinstance(pulled(address).exception, KeyError)


def test_a_stage_that_was_never_run_is_named(project: Path, address: str) -> None:
    Path("dvc.yaml").write_text(STAGE + "  other:\n    cmd: echo 4 > new\n    outs: [new]\n")
    assert fault(pulled(address)) == "dvc.lock doesn't have new: `dvc repro` makes it"


def test_a_remote_without_an_address_is_told(project: Path) -> None:
    with Repo() as repo, repo.config.edit("repo") as config:
        config["core"]["remote"] = "results"
    told = fault(CliRunner().invoke(pull.main))
    assert told.startswith("the remote results has no address: `dvc remote add results <address>`")


def test_without_a_remote_it_says_how_to_set_one(project: Path) -> None:
    told = fault(CliRunner().invoke(pull.main))
    assert told.startswith("no remote is set: `dvc remote add --default results <address>`")


def test_outside_a_project_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "not inside of a DVC repository" in fault(CliRunner().invoke(pull.main))
