"""Which source the raw tables come from, written as a person writes it.

A setting decides; without one, what was last given to `creditrisk run --source`; without that, the sample portfolio.

What belongs here: reading that text (a directory, a sources file, an address) and remembering it. What does not: the sources file's models
(`configuration`), looking at a source (`feeds`).
"""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from creditrisk_assets.ingestion.configuration import SampleConnection, SourceSet, read_sources
from creditrisk_assets.ingestion.connector import SourceError
from creditrisk_assets.lake import write_atomically
from creditrisk_assets.settings import PATTERN_SIGNS, Settings

CHOICE = "source.json"
SAMPLE_MARK = "portfolio.json"  # what the simulator leaves beside its tables
DEFAULT_SCALE = 0.05
SAMPLE = re.compile(r"sample(?::(?P<scale>[\d.]+))?")
FORMS = (
    "a directory, a sources file (.yaml), sample[:SCALE], https://host/path, s3://bucket/prefix, azure://container/prefix, "
    "kaggle://competitions/NAME, kaggle://datasets/OWNER/NAME or dvc://REPOSITORY[?rev=…&remote=…&directory=…]"
)


def source_text(settings: Settings) -> str:
    """Return the source in force, as it was written.

    Raises
    ------
    SourceError
        What was remembered of it cannot be read: another source in its place would be a surprise.
    """
    if settings.source is not None:
        return settings.source
    choice = settings.root / CHOICE
    try:
        chosen = json.loads(choice.read_text("utf-8"))["source"]
        if not isinstance(chosen, str):
            raise TypeError
    except FileNotFoundError:
        return f"sample:{DEFAULT_SCALE:g}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(
            f"{choice} is damaged or cannot be read; delete it and name the source (--source) again"
        ) from error
    return chosen


def source_set(settings: Settings) -> SourceSet:
    """Return the source in force.

    Raises
    ------
    SourceError
        It is none of the forms a source may have, or its sources file is wrong.
    """
    return parse_source(source_text(settings))


def remember_source(settings: Settings, source: str | Path) -> None:
    """Make a source that of this and later runs, from the command line and the UI alike."""
    write_atomically(settings.root / CHOICE, json.dumps({"source": normal_source(str(source))}))


def normal_source(text: str) -> str:
    """Write a source so that it means the same from any working directory."""
    if "://" in text or SAMPLE.fullmatch(text):
        return text
    return str(Path(text).expanduser().resolve())


def parse_source(text: str) -> SourceSet:
    """Read a source as a person writes it.

    Raises
    ------
    SourceError
        It is none of the forms a source may have, or its sources file is wrong.

    Examples
    --------
    >>> parse_source("s3://lender-feeds/home-credit/2026").connection
    S3Connection(kind='s3', bucket='lender-feeds', prefix='home-credit/2026', endpoint_url=None, region=None, profile=None)
    """
    if (found := SAMPLE.fullmatch(text)) is not None:
        return _set(text, {"kind": "sample", "scale": found["scale"] or DEFAULT_SCALE})
    if "://" in text:
        try:
            _refuse_login(text)
            return _set(text, _connection_of(text))
        except ValueError:  # urlsplit's
            raise SourceError(f"the source is not a valid address; give {FORMS}") from None
    path = Path(text).expanduser()
    if path.suffix.lower() in {".yaml", ".yml"}:
        return read_sources(path)
    resolved = path.resolve()
    if signs := sorted(set(str(resolved)) & set(PATTERN_SIGNS)):
        raise SourceError(f"the source {resolved} holds {' '.join(signs)}, which readers take for a pattern; rename it")
    if not resolved.is_dir():
        raise SourceError(f"the source directory {resolved} is not there or no directory; give {FORMS}")
    return _set(str(resolved), {"kind": "local", "directory": resolved})


def _refuse_login(text: str) -> None:
    """Refuse an address with a password or a token in it: a source's name is printed, kept and exported."""
    address = urlsplit(text.removeprefix("dvc://"))
    if address.password is not None or (address.username is not None and address.scheme in {"http", "https"}):
        raise SourceError(
            f"--source {address.scheme}://…@{address.hostname}/…: a login in an address would be printed and kept; give the address "
            "without it, and the login in CREDITRISK_HTTP_TOKENS (http) or git's credential helper (dvc)"
        )


def _connection_of(text: str) -> dict[str, Any]:
    address = urlsplit(text)
    place, rest = address.netloc, address.path.strip("/")
    if address.scheme in {"http", "https"}:
        return {"kind": "http", "base_url": text}
    if address.scheme == "s3":
        return {"kind": "s3", "bucket": place, "prefix": rest}
    if address.scheme == "azure":
        return {"kind": "azure", "container": place, "prefix": rest}
    if (address.scheme, place) == ("kaggle", "competitions"):
        return {"kind": "kaggle_competition", "competition": rest}
    if (address.scheme, place) == ("kaggle", "datasets"):
        return {"kind": "kaggle_dataset", "dataset": rest}
    if address.scheme == "dvc":
        repository, _, query = text.removeprefix("dvc://").partition("?")
        names = {"rev": "revision", "remote": "remote", "directory": "directory"}
        given = dict(pair.split("=", 1) for pair in query.split("&") if "=" in pair)
        if unknown := sorted(set(given) - set(names)):
            raise SourceError(f"--source {text}: {', '.join(unknown)} is not known; known: {', '.join(names)}")
        return {"kind": "dvc", "repository": repository, **{names[name]: value for name, value in given.items()}}
    raise SourceError(f"--source {address.scheme}://… is not a source; give {FORMS}")


def _set(name: str, connection: dict[str, Any]) -> SourceSet:
    try:
        return SourceSet.model_validate({"name": name, "connection": connection})
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg']}" for e in error.errors(include_input=False)
        )
        raise SourceError(f"the source {name} is not complete: {problems}; give {FORMS}") from None


def sample_scale(sources: SourceSet) -> float | None:
    """Return the scale when the source is the sample portfolio."""
    return sources.connection.scale if isinstance(sources.connection, SampleConnection) else None


def sample_directory(settings: Settings, scale: float = DEFAULT_SCALE) -> Path:
    """Return where the sample portfolio of a scale is kept."""
    return settings.root / "sample" / f"scale-{scale:g}"
