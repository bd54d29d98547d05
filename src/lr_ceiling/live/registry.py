"""The models that were put forward, in MLflow's model registry, and which of them is live.

An alias names a version: `champion` is live, `previous` was live before it, `challenger` is put
forward and not live. The aliases are the truth; tags tell where a version comes from and why it was
promoted or refused.
"""

import contextlib
import os
import tempfile
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

# Before mlflow, which reads the settings made there while it is imported.
from lr_ceiling.execution.files import sha256_of

from lr_ceiling.tracking import Store, allowing, hide, is_same, resolve, store_uri  # isort: skip

import mlflow
from mlflow import MlflowClient, pyfunc
from mlflow.entities import LoggedModel
from mlflow.exceptions import MlflowException

from lr_ceiling.errors import RegistryError
from lr_ceiling.execution.record import Record
from lr_ceiling.live.artifact import check_artifact
from lr_ceiling.live.locks import alone

Alias = Literal["champion", "challenger", "previous"]

STORE = "MLFLOW_TRACKING_URI"
# Where MLflow would look for the registry, of whatever store.
ELSEWHERE = "MLFLOW_REGISTRY_URI"
# What helps where the champion's file is lost or changed.
MENDING = "`lr-ceiling rollback` or `lr-ceiling promote --without-champion` mends it"
# The tags that code reads back.
SHA256 = "sha256"
# The number of the version that went live instead.
ROLLED_BACK = "rolled_back"


class Version(Record):
    """A registered model; `created` is in seconds since 1970, UTC."""

    number: int
    created: float
    source: str
    aliases: tuple[str, ...]
    tags: dict[str, str]

    def is_same(self, other: "Version") -> bool:
        """Whether both are one model; a registry that was begun anew has a version 1 again."""
        return (self.number, self.tags.get(SHA256)) == (other.number, other.tags.get(SHA256))


class Registry:
    """The versions of the model `name`, in an open store."""

    def __init__(self, store: Store, name: str) -> None:
        """Raises RegistryError where MLFLOW_REGISTRY_URI names another store."""
        _check_place()
        self.name = name
        # The store's URI without credentials: every message names it.
        self.place = store.place
        self._client: MlflowClient = store.client

    def history(self) -> list[Version]:
        """Every version, the oldest first."""
        aliases = self._aliases()
        found = self._client.search_model_versions(f"name = '{self.name}'")
        versions = [
            Version(
                number=int(one.version),
                created=one.creation_timestamp / 1000,
                source=one.source or "",
                aliases=tuple(sorted(a for a in aliases if aliases[a] == int(one.version))),
                tags=one.tags,
            )
            for one in found
        ]
        return sorted(versions, key=lambda version: version.number)

    def at(self, alias: Alias) -> Version | None:
        """The version that `alias` names."""
        return next((version for version in self.history() if alias in version.aliases), None)

    def put_forward(self, model: LoggedModel, tags: Mapping[str, str]) -> Version:
        """Register a logged model as the challenger; it stays the version that it is already.

        `tags` hold the SHA-256 of its file.
        """
        with allowing("RESOURCE_ALREADY_EXISTS"):
            self._client.create_registered_model(self.name)
        known = [
            version.number
            for version in self.history()
            if (version.tags.get(SHA256), version.source) == (tags[SHA256], model.artifact_location)
        ]
        number = known[-1] if known else self._create(model, tags)
        if number == self._aliases().get("champion"):
            self._client.delete_registered_model_alias(self.name, "challenger")
        else:
            self._set("challenger", number)
        return self._version(number)

    def tag(self, version: Version, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        for key, value in tags.items():
            self._client.set_model_version_tag(self.name, str(version.number), key, value)

    def describe(self, version: Version, text: str) -> None:
        """Set a version's description, in markdown: MLflow's page of the version shows it."""
        self._client.update_model_version(self.name, str(version.number), text)

    def promote(self, version: Version, over: Version | None) -> None:
        """Make `version` the champion in the place of `over`, which becomes the previous one.

        Raises RegistryError where another than `over` is live by now: a server can have several
        machines that promote.
        """
        live = self.at("champion")
        if (live and live.number) != (over and over.number):
            raise RegistryError(
                f"version {live.number if live else 'none'} of {self.name} went live meanwhile "
                f"in {self.place}: "
                "nothing is changed; promote again to be held against it"
            )
        # Last of all what makes it live: until then a crash leaves the old champion.
        if over:
            self._set("previous", over.number)
        self._set("champion", version.number)
        self._client.delete_registered_model_alias(self.name, "challenger")
        self._client.delete_model_version_tag(self.name, str(version.number), ROLLED_BACK)

    def settle(self) -> None:
        """Finish a promotion that a crash ended once its version was live: it is no challenger."""
        aliases = self._aliases()
        if "challenger" in aliases and aliases["challenger"] == aliases.get("champion"):
            self._client.delete_registered_model_alias(self.name, "challenger")

    def rollback(self) -> tuple[Version, Version]:
        """Make the previous version the champion again, and the champion the previous one.

        One that a crash ended early is finished, not undone. Gives what is live now and what was.
        Raises RegistryError where there is no previous version, or its file is not the one that was
        promoted.
        """
        live, previous = self.at("champion"), self.at("previous")
        if live and previous and live.number == previous.number:
            live = self._left_for(previous)
        if not live or not previous:
            raise RegistryError(
                f"{self.name} has no previous version to go back to in {self.place}: "
                "`lr-ceiling registry` shows what there is"
            )
        self.check_file(previous)
        # The veto first: after a crash in between the gate brings nothing back, and another
        # rollback finishes this one.
        self.tag(live, {ROLLED_BACK: str(previous.number)})
        self._set("champion", previous.number)
        self._set("previous", live.number)
        self._client.delete_model_version_tag(self.name, str(previous.number), ROLLED_BACK)
        if "challenger" in previous.aliases:
            self._client.delete_registered_model_alias(self.name, "challenger")
        return self._version(previous.number), self._version(live.number)

    def rolled_back(self, version: Version) -> Version | None:
        """The version with this one's file that was rolled back, it or another; None for none."""
        same = [one for one in self.history() if one.tags.get(SHA256) == version.tags.get(SHA256)]
        return next((one for one in same if ROLLED_BACK in one.tags), None)

    def check_file(self, version: Version) -> None:
        """Raise RegistryError unless the model's file is there, as it was registered."""
        uri = f"models:/{self.name}/{version.number}"
        with tempfile.TemporaryDirectory() as folder:
            try:
                # What `models:/` names MLflow looks up in its default store, whatever it is told.
                file = f"{version.source}/data/model.keras"
                found = mlflow.artifacts.download_artifacts(
                    file, dst_path=folder, tracking_uri=store_uri()
                )
                digest = sha256_of(Path(found))
            except (MlflowException, OSError) as error:
                raise _unloadable(uri, error) from None
        if digest != version.tags.get(SHA256):
            raise RegistryError(
                f"{uri} has SHA-256 {digest} in {self.place}: it is not what was registered"
            )

    def _create(self, model: LoggedModel, tags: Mapping[str, str]) -> int:
        # The folder itself, not `models:/<id>`: that name ends when the run is logged anew.
        created = self._client.create_model_version(
            self.name,
            model.artifact_location,
            run_id=model.source_run_id,
            model_id=model.model_id,
            tags=dict(tags),
        )
        return int(created.version)

    def _left_for(self, live: Version) -> Version | None:
        left = [one for one in self.history() if one.tags.get(ROLLED_BACK) == str(live.number)]
        return left[-1] if left else None

    def _version(self, number: int) -> Version:
        return next(version for version in self.history() if version.number == number)

    def _aliases(self) -> dict[str, int]:
        with allowing("RESOURCE_DOES_NOT_EXIST"):
            aliases = self._client.get_registered_model(self.name).aliases
            return {alias: int(number) for alias, number in aliases.items()}
        return {}

    def _set(self, alias: Alias, number: int) -> None:
        self._client.set_registered_model_alias(self.name, alias, str(number))


def one_at_a_time() -> contextlib.AbstractContextManager[None]:
    """Let nobody else on this machine promote or roll back. Raises LockedError if one does."""
    return alone("promotion", "another promotion or rollback")


def load(store: str, name: str, number: int) -> Any:
    """The model as MLflow itself loads it from `store`: `predict` takes images (n, 28, 28, 1).

    Raises RegistryError for one that can't be loaded, or would run code of its own.
    """
    uri = f"models:/{name}/{number}"
    named = os.environ.get(STORE)
    try:
        # MLflow asks its default store for what `models:/` names; naming it sets the variable too.
        mlflow.set_tracking_uri(store)
        with tempfile.TemporaryDirectory() as folder:
            # A copy, which nobody changes between the look and the load.
            copy = mlflow.artifacts.download_artifacts(uri, dst_path=folder)
            check_artifact(Path(copy))
            return pyfunc.load_model(copy)
    # Keras raises whatever a damaged archive makes it.
    except Exception as error:
        raise _unloadable(uri, error) from None
    finally:
        if named is None:
            os.environ.pop(STORE, None)
        else:
            os.environ[STORE] = named


def _check_place() -> None:
    """Raise RegistryError unless the registry lies in the tracking store, as everything asks it."""
    named = os.environ.get(ELSEWHERE, "").strip()
    store = store_uri()
    if named and not is_same(resolve(named, ELSEWHERE), store):
        raise RegistryError(
            f"{ELSEWHERE} is {hide(named)}, but the registry lies with the runs in {hide(store)}: "
            f"unset it, or let {STORE} name that store"
        )


def _unloadable(uri: str, error: Exception) -> RegistryError:
    reason = textwrap.shorten(hide(str(error)) or type(error).__name__, 200, placeholder=" ...")
    return RegistryError(f"{uri} can't be loaded ({reason}; registry: {hide(store_uri())})")
