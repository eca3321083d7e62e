"""The lockbox: every time the test part is opened for a model version is written down, before it is opened.

What belongs here: the ledger of openings and what it says of a version. What does not: who is in the test part
(`modelling.split`), what is measured on it (`modelling.evaluation`).

A test part looked at again and again, with changes in between, is a training part: its figures flatter. One opening for
each version is what an honest figure rests on; more are not forbidden, since evaluations break and are mended, but they
are there for everybody to see.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Purpose = Literal["evaluation", "comparison"]


class LockboxError(RuntimeError):
    """The ledger cannot be read or written; the message says where it is and what to do."""


@dataclass(frozen=True)
class Opening:
    """One opening of the test part."""

    at: str  # UTC, ISO 8601
    model_version: str
    purpose: Purpose  # the version's own evaluation, or a measurement beside a candidate
    split_version: str  # of the test part, in the lake
    run_id: str


def record_opening(ledger: Path, opening: Opening) -> tuple[Opening, ...]:
    """Write an opening down, durably, before anything is read.

    Parameters
    ----------
    ledger
        The ledger, `Settings.lockbox`: one JSON object a line, appended only.
    opening
        What is about to happen.

    Returns
    -------
    tuple of Opening
        Every opening for this version and purpose, this one last; more than one is worth a warning.

    Raises
    ------
    LockboxError
        It could not be written, or what is there is no ledger.
    """
    try:
        ledger.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, f"{json.dumps(asdict(opening), sort_keys=True)}\n".encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise LockboxError(
            f"the ledger {ledger} cannot be written ({error.strerror}), so the test part stays closed; mend that and run again"
        ) from error
    return of_version(read_ledger(ledger), opening.model_version, opening.purpose)


def read_ledger(ledger: Path) -> tuple[Opening, ...]:
    """Read every opening, oldest first; no file: none.

    Raises
    ------
    LockboxError
        A line is no opening.
    """
    try:
        lines = ledger.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise LockboxError(f"the ledger {ledger} cannot be read: {error}") from error
    openings = []
    for number, line in enumerate(lines, start=1):
        try:
            openings.append(Opening(**json.loads(line)))
        except (ValueError, TypeError) as error:
            raise LockboxError(
                f"line {number} of the ledger {ledger} is no opening; restore the file, for it is evidence, and run again"
            ) from error
    return tuple(openings)


def of_version(openings: Iterable[Opening], model_version: str, purpose: Purpose) -> tuple[Opening, ...]:
    """Choose the openings for one version and purpose."""
    return tuple(o for o in openings if o.model_version == model_version and o.purpose == purpose)
