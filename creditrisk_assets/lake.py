"""The lake: versioned artefacts on disk, published by an atomic pointer change.

What belongs here: drafts, versions, pointers, integrity. What does not: what an artefact contains (its maker's module), whether it may
be published (the contracts).

Layout below the root, for an artefact keyed `raw/bureau`:

    raw/bureau/CURRENT                 {"version": "9f2c…"}: the last good version
    raw/bureau/versions/9f2c…/         data.parquet (or any other files) and manifest.json
    raw/bureau/.draft-<pid>-<random>/  a version being written; swept away when its writer is dead
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

DATA = "data.parquet"
MANIFEST = "manifest.json"
POINTER = "CURRENT"
VERSIONS = "versions"


VERSION_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")


class LakeError(RuntimeError):
    """Something is missing from the lake or damaged; the message says what and which command mends it."""


@dataclass(frozen=True)
class Manifest:
    """What is known of one version: enough to reuse it, verify it and trace it."""

    key: str
    version: str  # the Dagster data version
    code_version: str
    inputs: Mapping[str, str]  # upstream key -> its version
    files: Mapping[str, str]  # file name -> SHA-256
    created_at: str  # UTC, ISO 8601
    metadata: Mapping[str, Any] = field(default_factory=dict)  # JSON: rows, seconds, check reports, …


@dataclass(frozen=True)
class Version:
    """One published version of an artefact."""

    path: Path
    manifest: Manifest

    @property
    def version(self) -> str:
        """The version's name."""
        return self.manifest.version

    @property
    def data(self) -> Path:
        """The table's Parquet file."""
        return self.path / DATA

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum((self.path / name).stat().st_size for name in self.manifest.files)

    def damage(self) -> str | None:
        """Name the first file that is gone or has not its hash any more; None: all are intact."""
        for name, digest in self.manifest.files.items():
            path = self.path / name
            if not path.is_file() or sha256_file(path) != digest:
                return name
        return None


@dataclass(frozen=True)
class Draft:
    """A version being written: put files into `path`, then publish it."""

    key: str
    path: Path

    @property
    def data(self) -> Path:
        """Where a table's Parquet file goes."""
        return self.path / DATA


def sha256_file(path: Path) -> str:
    """Hash a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_atomically(path: Path, text: str) -> None:
    """Write a small file so that a reader sees the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
    try:
        with temporary.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_directory(path.parent)


class Elsewhere(Protocol):
    """Where published versions are kept beside this machine's disk; `creditrisk_assets.mirror` says what each method does."""

    def push(self, directory: Path, name: str, version: Path, pointer: str = POINTER) -> None:
        """Put a version and the pointer there."""

    def withdraw(self, name: str, pointer: str = POINTER) -> None:
        """Take the pointer there away."""

    def pull(self, directory: Path, name: str, versions: str = "") -> None:
        """Fetch what the pointer there names."""

    def fetch(self, directory: Path, name: str, versions: str, version: str) -> None:
        """Fetch one version."""


class Lake:
    """Versioned artefacts below one directory.

    Parameters
    ----------
    root
        Directory of the lake; made when first written to.
    elsewhere
        Where versions are kept besides; what is published there is the last good version here too. None: nowhere.
    """

    def __init__(self, root: Path, elsewhere: Elsewhere | None = None) -> None:
        self.root = root
        self._elsewhere = elsewhere

    def current(self, key: str) -> Version | None:
        """Return the last good version of an artefact, or None when there is none yet.

        Raises
        ------
        LakeError
            The pointer or the manifest is unreadable or points to nothing, or the object store was not reached.
        """
        if self._elsewhere is not None:
            self._elsewhere.pull(self._home(key), self._name(key), VERSIONS)
        pointer = self._home(key) / POINTER
        try:
            version = json.loads(pointer.read_text("utf-8"))["version"]
            if not (isinstance(version, str) and VERSION_NAME.fullmatch(version)):
                raise ValueError(version)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise LakeError(f"{key}: the pointer {pointer} is damaged; delete it and run `creditrisk run`") from error
        return self.version(key, version)

    def version(self, key: str, version: str) -> Version:
        """Return one version of an artefact by name.

        Raises
        ------
        LakeError
            There is no such version, or its manifest is unreadable.
        """
        path = self._home(key) / VERSIONS / version
        if self._elsewhere is not None:
            self._elsewhere.fetch(self._home(key), self._name(key), VERSIONS, version)
        try:
            manifest = Manifest(**json.loads((path / MANIFEST).read_text("utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise LakeError(
                f"{key}: version {version} is missing or damaged; run `creditrisk run` to rebuild it"
            ) from error
        return Version(path, manifest)

    def versions(self, key: str) -> list[Version]:
        """Return the versions of an artefact that can be read, by the time they were made."""
        found = []
        for path in sorted((self._home(key) / "versions").glob("*")):
            with contextlib.suppress(LakeError):
                found.append(self.version(key, path.name))
        return sorted(found, key=lambda version: version.manifest.created_at)

    def require(self, key: str) -> Version:
        """Return the last good version of an artefact that must be there.

        Raises
        ------
        LakeError
            It was never published.
        """
        if (found := self.current(key)) is None:
            raise LakeError(f"{key} was never published; run `creditrisk run --select {key}` or `creditrisk run` first")
        return found

    def parts(self, key: str) -> tuple[str, ...]:
        """Return the names of what was published below a key, `2026-05` for `monitoring/applications/2026-05`, ascending."""
        return tuple(sorted(path.parent.name for path in self._home(key).glob(f"*/{POINTER}")))

    def reusable(
        self, key: str, *, code_version: str, inputs: Mapping[str, str], but: Collection[str] = ()
    ) -> tuple[Version | None, str]:
        """Find the last good version if nothing it was made from has changed and its files are intact.

        Parameters
        ----------
        key
            The artefact.
        code_version, inputs
            What it would be made by and from now.
        but
            Inputs that may have changed, because whoever asks makes up for it.

        Returns
        -------
        tuple
            The version (None: it must be made anew) and why, in words for the user.
        """
        try:
            found = self.current(key)
        except LakeError as error:
            return None, str(error)
        if found is None:
            return None, "never built"
        if found.manifest.code_version != code_version:
            return None, "its code changed"
        known = found.manifest.inputs
        names = (inputs.keys() | known.keys()) - set(but)
        if changed := sorted(name for name in names if inputs.get(name) != known.get(name)):
            return None, f"changed: {', '.join(changed)}"
        if (damaged := found.damage()) is not None:
            return None, f"its file {damaged} was damaged"
        self._keep(key, found.path)
        return found, "unchanged"

    @contextlib.contextmanager
    def draft(self, key: str) -> Iterator[Draft]:
        """Open a draft of a new version; what is not published when the block ends is deleted.

        Two processes may draft the same artefact at once: each has its own directory, and the last to publish wins.
        """
        home = self._home(key)
        home.mkdir(parents=True, exist_ok=True)
        self._sweep(home)
        path = home / f".draft-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        path.mkdir()
        try:
            yield Draft(key, path)
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def publish(
        self,
        draft: Draft,
        *,
        code_version: str,
        inputs: Mapping[str, str],
        metadata: Mapping[str, Any] | None = None,
        version: str | None = None,
    ) -> Version:
        """Make a draft the last good version.

        Parameters
        ----------
        draft
            The finished draft.
        code_version, inputs
            What it was made by and from: `reusable` compares them next time.
        metadata
            JSON values to keep with it.
        version
            Its name; by default the hash of its files, so that equal content is the same version.
        """
        files = {
            path.relative_to(draft.path).as_posix(): sha256_file(path)
            for path in sorted(draft.path.rglob("*"))
            if path.is_file()
        }
        if not files:
            raise LakeError(f"{draft.key}: nothing was written to publish")
        name = version or hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
        manifest = Manifest(
            key=draft.key,
            version=name,
            code_version=code_version,
            inputs=dict(inputs),
            files=files,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            metadata=dict(metadata or {}),
        )
        for file in files:
            _sync_file(draft.path / file)
        write_atomically(draft.path / MANIFEST, json.dumps(asdict(manifest), indent=1, sort_keys=True))
        home = self._home(draft.key)
        target = home / VERSIONS / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._locked(home):
            self._move_in(draft.path, target, manifest)
            write_atomically(home / POINTER, json.dumps({"version": name}))
        self._keep(draft.key, target)
        return Version(target, manifest)

    def restore(self, key: str, version: str) -> None:
        """Make an earlier version the last good one again; nothing happens when it is.

        Raises
        ------
        LakeError
            There is no such version.
        """
        current = self.current(key)
        if current is None or current.version != version:
            found = self.version(key, version)
            with self._locked(self._home(key)):
                write_atomically(self._home(key) / POINTER, json.dumps({"version": version}))
            self._keep(key, found.path)

    def _move_in(self, source: Path, target: Path, manifest: Manifest) -> None:
        """Put a finished draft at its version's place; readers of an equal version already there are not disturbed."""
        try:
            source.rename(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            for name in manifest.files:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                (source / name).replace(target / name)
            (source / MANIFEST).replace(target / MANIFEST)
        _sync_directory(target.parent)

    def _keep(self, key: str, version: Path) -> None:
        if self._elsewhere is not None:
            self._elsewhere.push(self._home(key), self._name(key), version)

    @staticmethod
    def _name(key: str) -> str:
        return f"lake/{key}"

    def _home(self, key: str) -> Path:
        return self.root.joinpath(*key.split("/"))

    @staticmethod
    def _sweep(home: Path) -> None:
        """Delete the drafts of writers that are dead (killed in the middle)."""
        for path in home.glob(".draft-*"):
            pid = int(path.name.split("-")[1])
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                shutil.rmtree(path, ignore_errors=True)
            except PermissionError:
                continue

    @staticmethod
    @contextlib.contextmanager
    def _locked(home: Path) -> Iterator[None]:
        with (home / ".lock").open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield


def _sync_file(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
