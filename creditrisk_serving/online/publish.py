"""From the lake's families to the online store's current snapshot.

What belongs here: which families a snapshot holds and its version, building it, proving it, pointing to it. What does not: packing
(`build`), tables (`store`), Dagster (`defs.online`).
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from creditrisk_assets.features.statement import KEY
from creditrisk_assets.lake import Version
from creditrisk_serving.online import layout, store
from creditrisk_serving.online.build import FamilyFile, Packer
from creditrisk_serving.online.layout import Decoder
from creditrisk_serving.online.store import OnlineStore, Snapshot

FIRST = "application"  # who has an application has a row
PROVEN_ROWS = 500


@dataclass(frozen=True)
class Proof:
    """What comparing a snapshot with the families it was made of came to."""

    rows: int
    differing: Mapping[str, int]  # feature -> in how many of the rows


def family_files(versions: Mapping[str, Version]) -> list[FamilyFile]:
    """List the families of a snapshot, the application first.

    Parameters
    ----------
    versions
        Family name -> what the lake publishes of it.
    """
    names = [FIRST, *sorted(set(versions) - {FIRST})]
    return [
        FamilyFile(
            name, versions[name].version, versions[name].manifest.metadata["facts"]["definition"], versions[name].data
        )
        for name in names
    ]


def snapshot_version(versions: Mapping[str, Version]) -> str:
    """Name what a snapshot of these families holds: equal families, equal version."""
    return store.version_of(layout.FORMAT, [(f.name, f.version, f.definition) for f in family_files(versions)])


def publish_families(online: OnlineStore, versions: Mapping[str, Version]) -> Snapshot:
    """Build a snapshot of these families, make it current and remove old ones.

    Raises
    ------
    BuildError
        A family's file is damaged.
    OnlineStoreError
        The store cannot be written.
    """
    snapshot = build_snapshot(online, versions)
    online.point(snapshot.name)
    online.prune()
    return snapshot


def build_snapshot(online: OnlineStore, versions: Mapping[str, Version]) -> Snapshot:
    """Build a snapshot of these families; it is not current yet. Errors as for `publish_families`."""
    packer = Packer(family_files(versions))
    return online.write(snapshot_version(versions), packer.rows(), packer)


def prove(
    online: OnlineStore, snapshot: Snapshot, versions: Mapping[str, Version], *, rows: int = PROVEN_ROWS
) -> Proof:
    """Read applicants back by key, as the service does, and compare every value with the families' files.

    Parameters
    ----------
    rows
        How many applicants, drawn by the snapshot's version.
    """
    keys = pq.read_table(versions[FIRST].data, columns=[KEY]).column(KEY).to_pylist()
    drawn = sorted(random.Random(snapshot.version).sample(keys, min(rows, len(keys))))  # noqa: S311 - a sample, not a secret
    columns = {family.name: tuple(name for name, _ in family.columns) for family in snapshot.layout.families}
    decoder = Decoder(snapshot.layout, columns)
    opened = online.open(snapshot)
    try:
        found = {key: decoder.decode(key, packed) for key, packed in opened.find_many(drawn).items()}
    finally:
        opened.close()
    differing: dict[str, int] = {}
    for name, names in columns.items():
        expected = _rows(versions[name], drawn, names)
        for key in drawn:
            mine, other = found.get(key, {}).get(name), expected.get(key)
            for place, feature in enumerate(names):
                if (mine is None) != (other is None) or (
                    mine is not None and other is not None and not _same(mine[place], other[place])
                ):
                    differing[feature] = differing.get(feature, 0) + 1
    return Proof(len(drawn), differing)


def _rows(version: Version, keys: list[int], columns: tuple[str, ...]) -> dict[int, tuple[Any, ...]]:
    wanted = ds.field(KEY).isin(pa.array(keys, pa.int64()))
    table = ds.dataset(version.data).to_table(columns=[KEY, *columns], filter=wanted)
    values = [table.column(name).to_pylist() for name in columns]
    return dict(zip(table.column(KEY).to_pylist(), zip(*values, strict=True), strict=True))


def _same(mine: Any, other: Any) -> bool:
    return mine == other and type(mine) is type(other)
