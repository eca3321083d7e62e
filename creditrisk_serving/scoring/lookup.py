"""Features of known applicants, looked up in the online store.

What belongs here: pinning a snapshot, checking that it fits the model, reading applicants' rows, how old they are. What does not: how
features are made (`creditrisk_assets.features`), how the store keeps them (`online`).
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from creditrisk_assets.lake import Version
from creditrisk_serving.errors import NotReadyError
from creditrisk_serving.online.layout import RowDamagedError
from creditrisk_serving.online.matrix import MatrixReader
from creditrisk_serving.online.store import REMEDY, OnlineStore, OnlineStoreError, Rows, Snapshot
from creditrisk_serving.scoring.slots import Slots

LookedUp = Literal["present", "no_history", "stale"]


class LookupUnavailableError(RuntimeError):
    """The online store is missing, damaged, or holds other features than the model was trained on."""


@dataclass(frozen=True)
class MaxAge:
    """How old looked-up features may be before they are told as stale."""

    default: timedelta
    families: Mapping[str, timedelta] = field(default_factory=dict)


@dataclass(frozen=True)
class PublishedFeatures:
    """One snapshot of the online store, pinned; safe to share between threads."""

    snapshot: Snapshot
    columns: Mapping[str, tuple[str, ...]]  # family -> the features it gives, in order
    verified_at: datetime  # when the snapshot was last known to be what the lake publishes
    rows: Rows = field(repr=False, compare=False)
    reader: MatrixReader = field(repr=False, compare=False)
    stale_after: Mapping[str, float] = field(repr=False)  # family -> seconds since the epoch
    local: bool = False  # in a file of this machine: one lookup takes microseconds

    @cached_property
    def versions(self) -> dict[str, str]:
        """The lake's version of each family in the snapshot."""
        return {family.name: family.version for family in self.snapshot.layout.families}

    @property
    def definitions(self) -> dict[str, str]:
        """What each family's features mean."""
        return {family.name: family.definition for family in self.snapshot.layout.families}

    def find(self, applicants: Sequence[int]) -> dict[int, bytes]:
        """Look applicants up; one without an application is not there.

        Raises
        ------
        NotReadyError
            The store cannot be read any more.
        """
        try:
            if len(applicants) == 1:
                packed = self.rows.find(applicants[0])
                return {} if packed is None else {applicants[0]: packed}
            return self.rows.find_many(applicants)
        except OnlineStoreError as error:
            raise NotReadyError(f"{error}; lookups cannot be answered") from None

    def lay(self, applicant: int, packed: bytes, row: NDArray[np.float64]) -> tuple[str, ...]:
        """Lay what was found of an applicant into its row, and name the families it has rows in.

        Raises
        ------
        NotReadyError
            It is damaged.
        """
        try:
            return self.reader.lay(applicant, packed, row)
        except RowDamagedError as error:
            raise NotReadyError(f"{error}; lookups cannot be answered") from None

    def lay_many(
        self, applicants: Sequence[int], packed: Sequence[bytes], matrix: NDArray[np.float64]
    ) -> list[tuple[str, ...]]:
        """Lay what was found of applicants into their rows as `lay` does; raises as it."""
        try:
            return self.reader.lay_many(applicants, packed, matrix)
        except RowDamagedError as error:
            raise NotReadyError(f"{error}; lookups cannot be answered") from None

    def state(self, family: str, *, found: bool) -> LookedUp:
        """Tell the state of a family that was looked up; in a snapshot too old, no history may be out of date as well."""
        if time.time() > self.stale_after[family]:
            return "stale"
        return "present" if found else "no_history"


def open_features(store: OnlineStore, slots: Slots, definitions: Mapping[str, str], ages: MaxAge) -> PublishedFeatures:
    """Pin the current snapshot of the online store.

    Parameters
    ----------
    store
        Where snapshots are.
    slots
        The features to look up, and where they go.
    definitions
        What each family's features mean to the model (the plan's `definition`); features that mean something else are refused.
    ages
        How old they may be.

    Raises
    ------
    LookupUnavailableError
        Nothing was published, it is damaged, or a family is missing, means something else or lacks a feature; all of them are named.
    """
    wanted = slots.columns
    try:
        current = store.current()
        if current is None:
            raise LookupUnavailableError(f"the online store is empty; {REMEDY}")
        snapshot = store.snapshot(current.name)
        if reasons := [*misfits(snapshot, wanted, definitions), *_unknown(ages, wanted)]:
            raise LookupUnavailableError("; ".join(reasons))
        rows = store.open(snapshot)
    except OnlineStoreError as error:
        raise LookupUnavailableError(str(error)) from error
    return PublishedFeatures(
        snapshot=snapshot,
        columns={name: tuple(columns) for name, columns in wanted.items()},
        verified_at=current.verified_at,
        rows=rows,
        reader=slots.reader(snapshot.layout),
        stale_after=stale_after(current.verified_at, wanted, ages),
        local=store.backend == "sqlite",
    )


def stale_after(verified_at: datetime, families: Iterable[str], ages: MaxAge) -> dict[str, float]:
    """Return, by family, the moment from which it is stale."""
    return {name: (verified_at + ages.families.get(name, ages.default)).timestamp() for name in families}


def check_definition(version: Version, definition: str) -> None:
    """Make sure that published features mean what a model takes them to mean.

    Raises
    ------
    LookupUnavailableError
        They were built by another SQL than the one the model was trained on.
    """
    if version.manifest.metadata.get("facts", {}).get("definition") != definition:
        raise LookupUnavailableError(_other_definition(version.manifest.key))


def _other_definition(key: str) -> str:
    return (
        f"{key} was built by another definition than the champion's; run `creditrisk run`, and see registry/version for why a model "
        "trained on the new one is not champion"
    )


def misfits(snapshot: Snapshot, wanted: Mapping[str, Sequence[str]], definitions: Mapping[str, str]) -> Iterable[str]:
    """Yield what keeps a model from reading a snapshot."""
    stored = {family.name: family for family in snapshot.layout.families}
    for name, columns in wanted.items():
        if name not in stored:
            yield f"features/{name} is not in the online store; {REMEDY}"
        elif stored[name].definition != definitions[name]:
            yield _other_definition(f"features/{name} in the online store")
        else:
            known = {column for column, _ in stored[name].columns}
            if missing := [column for column in columns if column not in known]:
                yield (
                    f"features/{name}: {len(missing)} features of the model are missing, among them {', '.join(missing[:3])}; "
                    "publish a model trained on these features, or build the features the model knows"
                )


def _unknown(ages: MaxAge, wanted: Iterable[str]) -> Iterable[str]:
    known = set(wanted)
    if strange := sorted(set(ages.families) - known):
        yield (
            f"CREDITRISK_SERVING_FAMILY_MAX_AGE_HOURS names {', '.join(strange)}, which is no family; "
            f"known: {', '.join(sorted(known))}"
        )
