"""In place of GitHub's `gh`: the few commands that the workflows give, on the rehearsal's folder.

Anything else ends with exit code 2, as an option that gh doesn't know would.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

FOLDER = Path(os.environ["REHEARSAL"])


def main(arguments: list[str]) -> None:
    """Do what one `gh` command asks for."""
    parser = argparse.ArgumentParser(prog="gh", allow_abbrev=False)
    nouns = parser.add_subparsers(dest="noun", required=True)
    add(nouns, "api", "path", "--jq")
    add(verbs(nouns, "auth"), "setup-git")
    add(verbs(nouns, "run"), "download", "run", "--repo", "--name", "--dir")
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
    add(pull, "edit", "number", "--title", "--body-file")
    given = vars(parser.parse_args(arguments))
    doing = (given.pop("noun"), given.pop("verb", None))
    match doing:
        case ("api", None):
            show(artifacts(given["path"]), given["jq"])
        case ("run", "download"):
            source = FOLDER / "artifacts" / given["run"] / given["name"]
            shutil.copytree(source, given["dir"], dirs_exist_ok=True)
        case ("issue" | "pr", "list"):
            show([{"number": number} for number in matching(doing[0], given)], given["jq"])
        case ("issue" | "pr", "create"):
            number = len(list(folder_of(doing[0]).glob("*.json"))) + 1
            write(doing[0], number, given | {"state": "open", "bodies": [body(given)]})
        case ("issue" | "pr", "comment" | "edit"):
            known = read(doing[0], int(given["number"]))
            known["bodies"].append(body(given))
            write(
                doing[0],
                int(given["number"]),
                known | {"title": given.get("title") or known["title"]},
            )


def verbs(nouns: Any, noun: str) -> Any:
    """The commands of a noun."""
    return nouns.add_parser(noun, allow_abbrev=False).add_subparsers(dest="verb", required=True)


def add(commands: Any, name: str, *wanted: str) -> argparse.ArgumentParser:
    """A command that takes what is named and nothing else."""
    command: argparse.ArgumentParser = commands.add_parser(name, allow_abbrev=False)
    for one in wanted:
        command.add_argument(one)
    return command


def artifacts(path: str) -> dict[str, Any]:
    """What the API says of the artifacts of a name, in the parts that the workflows read."""
    url = urlsplit(path)
    if url.path != f"repos/{os.environ['GITHUB_REPOSITORY']}/actions/artifacts":
        raise SystemExit(f"gh stands in for no call of {url.path}")
    name = parse_qs(url.query)["name"][0]
    found = [
        {
            "created_at": f"2026-01-01T00:00:{int(folder.parent.name):02}Z",
            "expired": (folder / "expired").exists(),
            "workflow_run": {
                "id": int(folder.parent.name),
                "head_branch": "main",
                "head_repository_id": 2 if (folder / "fork").exists() else 1,
                "repository_id": 1,
            },
        }
        for folder in FOLDER.glob(f"artifacts/*/{name}")
    ]
    return {"artifacts": found}


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
