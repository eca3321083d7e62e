"""Causes planted in raw rows, and whether the reasons name them: features by the store's own code, reasons by the bundle's.

What belongs here: drawing applicants of average risk, changing their raw rows, counting what is told. What does not:
how often each cause must be named (`test_planted_causes`), the same on a home of your own (`benchmarks.planted`).
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.features.engine import build_family
from creditrisk_assets.features.families import FAMILIES
from creditrisk_assets.features.files import join_applicant
from creditrisk_assets.lake import Lake
from creditrisk_assets.modelling.bundle import Bundle, to_float32
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.part_scores import columns_of
from creditrisk_assets.modelling.tables import read_part

LABELLED, OTHER = "application_train", "application_test"
APPLICANTS = 150
AVERAGE = (0.3, 0.7)  # between these quantiles of PDs, and approved


@dataclass(frozen=True)
class Plant:
    """A cause: what is done to the rows of a table, and the beginnings of the groups of inputs that hold it."""

    name: str
    table: str
    change: str  # of an UPDATE
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Explained:
    """Applicants, their margins, and each group's part in them."""

    margins: NDArray[np.float64]  # (n,)
    sums: NDArray[np.float64]  # (n, groups)
    told: Sequence[Sequence[str]]  # of each, the groups of its reasons, the principal one first


@dataclass(frozen=True)
class Named:
    """How often a planted cause is named, as shares of the applicants (0–1)."""

    plant: str
    applicants: int
    first: float
    within_four: float
    within_four_before: float  # of the same applicants as they were
    rose_most: float  # of all groups, one of the cause grew most
    mean_rise: float  # of the margin


CAUSES = (
    Plant(
        "scores of agencies at the bottom",
        LABELLED,
        "EXT_SOURCE_1 = 0.02, EXT_SOURCE_2 = 0.02, EXT_SOURCE_3 = 0.02",
        ("application__external_scores",),
    ),
    Plant(
        "each instalment paid 75 days late",
        "installments_payments",
        "DAYS_ENTRY_PAYMENT = DAYS_INSTALMENT + 75 where DAYS_INSTALMENT < -76",
        ("installments__",),
    ),
    Plant(
        "each running credit elsewhere owed in full",
        "bureau",
        "AMT_CREDIT_SUM_DEBT = AMT_CREDIT_SUM where CREDIT_ACTIVE = 'Active'",
        ("bureau__debt", "bureau__running_debt"),
    ),
    Plant(
        "each earlier application refused",
        "previous_application",
        "NAME_CONTRACT_STATUS = 'Refused'",
        ("previous_application__",),
    ),
)
CONTROL = Plant(
    "another sex, age and marital status",
    LABELLED,
    "CODE_GENDER = case CODE_GENDER when 'F' then 'M' else 'F' end, DAYS_BIRTH = DAYS_BIRTH - 3000,"
    " NAME_FAMILY_STATUS = case NAME_FAMILY_STATUS when 'Married' then 'Widow' else 'Married' end",
)


class Planting:
    """Applicants of average risk in their own raw tables, before and after something is planted in them.

    Parameters
    ----------
    lake
        Where raw tables and features are published.
    bundle
        The model that explains.
    place
        A directory of its own.
    applicants
        How many at most; they have instalments and credits that run elsewhere.
    """

    def __init__(self, lake: Lake, bundle: Bundle, place: Path, applicants: int = APPLICANTS) -> None:
        self._bundle, self._place = bundle, place
        names = {table for family in FAMILIES.values() for table in family.inputs} - {OTHER}
        raw = {name: lake.require(f"raw/{name}").data for name in sorted(names)}
        with closing(duckdb.connect()) as con:
            self.ids = self._draw(con, raw, lake.require("features/applicant").data, applicants)
            self._tables = {name: self._own_rows(con, name, raw) for name in raw}
            self._families = {name: self._build(con, name, self._tables, "as they are") for name in FAMILIES}
            self.before = self._explain(self._families, "as they are")

    def named(self, plant: Plant) -> Named:
        """Plant a cause and count how often it is named."""
        assert self._bundle.reasons is not None
        after, groups = self.after(plant), self._bundle.reasons.groups
        most = (after.sums - self.before.sums).argmax(axis=1)
        grown = [groups[place].startswith(plant.groups) for place in most.tolist()]
        return Named(
            plant.name,
            len(self.ids),
            _share([bool(told) and told[0].startswith(plant.groups) for told in after.told]),
            _share(_tells(after, plant)),
            _share(_tells(self.before, plant)),
            _share(grown),
            float((after.margins - self.before.margins).mean()),
        )

    def after(self, plant: Plant) -> Explained:
        """Plant a cause: only families that read its table are computed again."""
        with closing(duckdb.connect()) as con:
            changed = self._place / f"{plant.name}.parquet"
            con.execute(f"create table rows as from {parquet(self._tables[plant.table])}")
            con.execute(f"update rows set {plant.change}")
            con.execute(f"copy rows to '{changed}' (format parquet)")
            tables = self._tables | {plant.table: changed}
            families = {
                name: self._build(con, name, tables, plant.name)
                if plant.table in family.inputs
                else self._families[name]
                for name, family in FAMILIES.items()
            }
            return self._explain(families, plant.name)

    def _draw(
        self, con: duckdb.DuckDBPyConnection, raw: Mapping[str, Path], features: Path, applicants: int
    ) -> list[int]:
        ids, rows = self._read(features)
        pds = self._bundle.score_float32(rows)
        low, high = np.quantile(pds, AVERAGE)
        average = ids[(pds >= low) & (pds < min(high, self._bundle.policy.decisions.approve_below))]
        chosen = con.execute(
            f"select SK_ID_CURR from {parquet(raw[LABELLED])} where SK_ID_CURR in (select unnest($average))"
            f" and SK_ID_CURR in (select SK_ID_CURR from {parquet(raw['installments_payments'])})"
            f" and SK_ID_CURR in (select SK_ID_CURR from {parquet(raw['bureau'])} where CREDIT_ACTIVE = 'Active')"
            " order by SK_ID_CURR limit $applicants",
            {"average": average.tolist(), "applicants": applicants},
        ).fetchall()
        return [row[0] for row in chosen]

    def _own_rows(self, con: duckdb.DuckDBPyConnection, name: str, raw: Mapping[str, Path]) -> Path:
        mine, out = "SK_ID_CURR in (select unnest($ids))", self._place / f"{name}.parquet"
        if name == "bureau_balance":
            mine = f"SK_ID_BUREAU in (select SK_ID_BUREAU from {parquet(raw['bureau'])} where {mine})"
        con.execute(
            f"create or replace table own as select * from {parquet(raw[name])} where {mine}", {"ids": self.ids}
        )
        con.execute(f"copy own to '{out}' (format parquet)")
        return out

    def _build(self, con: duckdb.DuckDBPyConnection, name: str, tables: Mapping[str, Path], plant: str) -> Path:
        out = self._place / f"{name}, {plant}.parquet"
        build_family(con, FAMILIES[name], tables, out)
        return out

    def _explain(self, families: Mapping[str, Path], plant: str) -> Explained:
        book, explainer = self._bundle.reasons, self._bundle.explainer
        assert book is not None
        assert explainer is not None
        joined = self._place / f"applicant, {plant}.parquet"
        join_applicant(families, joined)
        _, rows = self._read(joined)
        margins, contributions = (
            self._bundle.booster.margins(rows),
            explainer.all_contributions(rows.astype(np.float64)),
        )
        for one, margin in zip(contributions, margins.tolist(), strict=True):
            explainer.check(one, margin)
        told = [
            [reason.group for reason in book.principal(one, row, self._bundle.categories)]
            for one, row in zip(contributions, rows, strict=True)
        ]
        return Explained(margins, np.array([book.sums(one) for one in contributions]), told)

    def _read(self, features: Path) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Read joined features as the model sees them: ids and rows."""
        part = read_part(features, [ModelInput(f.name, f.family, f.kind) for f in self._bundle.features])
        return part.ids, to_float32(self._bundle.encode(columns_of(part, self._bundle.features)))


def _tells(explained: Explained, plant: Plant) -> list[bool]:
    return [any(group.startswith(plant.groups) for group in told) for told in explained.told]


def _share(found: Sequence[bool]) -> float:
    return sum(found) / len(found)
