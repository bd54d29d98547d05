"""In place of GitHub's `gh`: the few commands that the workflows give, on the rehearsal's folder.

Anything else ends with exit code 2, as an option that gh doesn't know would.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

FOLDER = Path(os.environ["REHEARSAL"])


def main(arguments: list[str]) -> None:
    """Do what one `gh` command asks for."""
    parser = argparse.ArgumentParser(prog="gh", allow_abbrev=False)
    nouns = parser.add_subparsers(dest="noun", required=True)
    api = add(nouns, "api", "path", "--jq", "--method")
    api.add_argument("--silent", action="store_true")
    api.add_argument("--raw-field", action="append", default=[])
    api.add_argument("--field", action="append", default=[])
    add(verbs(nouns, "auth"), "setup-git")
    add(verbs(nouns, "label"), "create", "name", "--description").add_argument(
        "--force", action="store_true"
    )
    issue = verbs(nouns, "issue")
    add(issue, "list", "--label", "--state", "--json", "--jq")
    add(issue, "create", "--label", "--title", "--body-file")
    add(issue, "comment", "number", "--body-file")
    pull = verbs(nouns, "pr")
    add(pull, "list", "--head", "--base", "--state", "--json", "--jq")
    add(pull, "create", "--head", "--base", "--title", "--body-file")
    given = vars(parser.parse_args(arguments))
    doing = (given.pop("noun"), given.pop("verb", None))
    match doing:
        case ("api", None):
            call(given)
        case ("issue" | "pr", "list"):
            show([{"number": number} for number in matching(doing[0], given)], given["jq"])
        case ("issue" | "pr", "create"):
            number = len(list(folder_of(doing[0]).glob("*.json"))) + 1
            write(doing[0], number, given | {"state": "open", "bodies": [body(given)]})
        case ("issue", "comment"):
            change("issue", int(given["number"]), {"body": body(given)})


def verbs(nouns: Any, noun: str) -> Any:
    """The commands of a noun."""
    return nouns.add_parser(noun, allow_abbrev=False).add_subparsers(dest="verb", required=True)


def add(commands: Any, name: str, *wanted: str) -> argparse.ArgumentParser:
    """A command that takes what is named and nothing else."""
    command: argparse.ArgumentParser = commands.add_parser(name, allow_abbrev=False)
    for one in wanted:
        command.add_argument(one)
    return command


def call(given: dict[str, Any]) -> None:
    """Answer one of the API's calls that the workflows make."""
    url = urlsplit(given["path"])
    asked = url.path.removeprefix(f"repos/{os.environ['GITHUB_REPOSITORY']}/").split("/")
    match given["method"] or "GET", *asked:
        case "GET", "actions", "artifacts" if given["jq"]:
            show(artifacts(parse_qs(url.query)["name"][0]), given["jq"])
        case "GET", "actions", "artifacts", number, "zip":
            pack(int(number))
        case "PATCH", "pulls", number if given["silent"]:
            change("pr", int(number), fields(given))
        case _:
            raise SystemExit(f"gh stands in for no such call of {url.path}")


def artifacts(name: str) -> dict[str, Any]:
    """What the API says of the artifacts of a name, in the parts that the workflows read."""
    return {"artifacts": [artifact(folder) for folder in FOLDER.glob(f"artifacts/*/{name}")]}


def artifact(folder: Path) -> dict[str, Any]:
    """What the API says of one; its folder's is `<run>`, or `<run>-<attempt>` of a later one."""
    run, _, attempt = folder.parent.name.partition("-")
    return {
        "id": folder.stat().st_ino,
        "created_at": f"2026-01-01T00:{int(run):02}:{int(attempt or 1):02}Z",
        "expired": (folder / "expired").exists(),
        "workflow_run": {
            "id": int(run),
            "head_branch": "main",
            "head_repository_id": 2 if (folder / "fork").exists() else 1,
            "repository_id": 1,
        },
    }


def pack(number: int) -> None:
    """Write the artifact of a number as a ZIP archive to standard output."""
    (folder,) = (one for one in FOLDER.glob("artifacts/*/*") if one.stat().st_ino == number)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    sys.stdout.buffer.write(content.getvalue())


def fields(given: dict[str, Any]) -> dict[str, str]:
    """The fields of a call; the value of a `--field` is a file's text."""
    plain = dict(one.split("=", 1) for one in given["raw_field"])
    named = dict(one.split("=@", 1) for one in given["field"])
    return plain | {key: Path(path).read_text() for key, path in named.items()}


def change(noun: str, number: int, changes: dict[str, str]) -> None:
    """Add a body to an issue or pull request, and change its title if there is one."""
    known = read(noun, number)
    known["bodies"].append(changes.pop("body"))
    write(noun, number, known | changes)


def matching(noun: str, asked: dict[str, Any]) -> list[int]:
    """The numbers of the issues or pull requests that have what is asked for, the newest first."""
    wanted = {key: asked[key] for key in ("label", "head", "base", "state") if asked.get(key)}
    numbers = sorted((int(path.stem) for path in folder_of(noun).glob("*.json")), reverse=True)
    return [number for number in numbers if wanted.items() <= read(noun, number).items()]


def show(value: Any, jq: str) -> None:
    """Print what jq makes of a value; gh has a jq of its own."""
    subprocess.run(["jq", "--raw-output", jq], input=json.dumps(value), text=True, check=True)


def body(given: dict[str, Any]) -> str:
    """The text in the file that the command names."""
    return Path(given.pop("body_file")).read_text()


def folder_of(noun: str) -> Path:
    """Where issues or pull requests lie."""
    folder = FOLDER / {"issue": "issues", "pr": "pulls"}[noun]
    folder.mkdir(exist_ok=True)
    return folder


def read(noun: str, number: int) -> dict[str, Any]:
    """An issue or pull request."""
    known: dict[str, Any] = json.loads((folder_of(noun) / f"{number}.json").read_text())
    return known


def write(noun: str, number: int, content: dict[str, Any]) -> None:
    """Keep an issue or pull request."""
    (folder_of(noun) / f"{number}.json").write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
