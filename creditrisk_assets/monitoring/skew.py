"""Whether the service saw what the batch code makes of the same raw rows: training and serving must not part.

What belongs here: computing features again from what was sent, by the SQL of the model's plan over tables, and comparing. What does not:
opening the decision log (the service's side writes `MONTH.decisions.inputs`), the check of the month (`defs.months`), drift of who applies
(`drift`).

The service computes by compiled functions or one applicant at a time; here DuckDB runs the families' SQL over typed tables of all
sampled applicants at once, as the batch engine does. Only families that were computed from what was sent are compared: what was looked up
was batch code's to begin with.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.features.statement import KEY, family_select, quoted
from creditrisk_assets.modelling.bundle import Bundle, BundleFeature, to_float32

TOLERANCE = 1e-9  # of a feature's size, and at least of one unit
APPLICATION, APPLICANT = "application", "SK_ID_CURR"
CREDITS = ("SK_ID_BUREAU", "SK_ID_PREV")
ARROW = {"int": pa.int64(), "float": pa.float64(), "str": pa.string()}
NAMED = 5  # features in words

Sent = Mapping[int, Mapping[str, Any]]  # applicant -> {"application": a row or None, "histories": table -> rows}


class SkewError(RuntimeError):
    """Features cannot be computed again; the message says of what, and no value."""


@dataclass(frozen=True)
class SkewedFeature:
    """A feature the service saw otherwise; no value of an applicant is told."""

    feature: str
    decisions: int  # that saw it otherwise
    largest_difference: float | None  # beyond rounding to float32; None: known on one side alone, or a category


@dataclass(frozen=True)
class SkewReport:
    """What comparing came to."""

    decisions: int
    values: int
    skewed: tuple[SkewedFeature, ...]  # most decisions first

    @property
    def words(self) -> str:
        """Say it in one line."""
        if not self.decisions:
            return "no decision carried raw rows"
        compared = f"{self.values:,} features of {self.decisions:,} decisions, computed again from what was sent"
        if not self.skewed:
            return f"{compared}, are those the service saw"
        named = "; ".join(_said(each) for each in self.skewed[:NAMED])
        more = f" and {len(self.skewed) - NAMED} more" if len(self.skewed) > NAMED else ""
        return f"of {compared}, {len(self.skewed)} differ: {named}{more}"


def _said(one: SkewedFeature) -> str:
    size = "" if one.largest_difference is None else f", by up to {one.largest_difference:.3g}"
    return f"{one.feature} in {one.decisions:,} decisions{size}"


def measure_skew(con: duckdb.DuckDBPyConnection, bundle: Bundle, inputs: Path, saw: Path) -> SkewReport:
    """Compute the features of a month's sampled decisions again, and compare them with those logged.

    Parameters
    ----------
    con
        Connection with the memory limit and threads to keep to.
    bundle
        The model that decided.
    inputs
        Parquet, one row per applicant: `sk_id_curr`, and `application` and `histories` as JSON, as they were sent.
    saw
        Parquet, one row per applicant: `sk_id_curr` and the model's inputs as logged.

    Raises
    ------
    SkewError
        A family's SQL cannot take what the service took.
    """
    rows = con.execute(f"select {KEY}, application, histories from {parquet(inputs)} order by {KEY}").fetchall()  # noqa: S608
    sent = {key: {"application": json.loads(one), "histories": json.loads(other)} for key, one, other in rows}
    logged = con.execute(
        f"select * from {parquet(saw)} where {KEY} in (select {KEY} from {parquet(inputs)}) order by {KEY}"  # noqa: S608
    ).df()
    sent = {key: sent[key] for key in logged[KEY].tolist()}
    again = recompute(con, bundle.plan, sent)
    return compare(bundle.features, bundle.plan, sent, logged.set_index(KEY), again)


def recompute(con: duckdb.DuckDBPyConnection, plan: Mapping[str, Any], sent: Sent) -> Mapping[str, pd.DataFrame]:
    """Compute families from raw rows by the plan's SQL over tables.

    Returns
    -------
    mapping
        Family -> its features by applicant, of those who have rows in it.
    """
    parts: dict[str, list[pd.DataFrame]] = {name: [] for name in plan["families"]}
    for some in _apart(sent):
        with closing(con.cursor()) as cursor:
            for table, declared in plan["tables"].items():
                cursor.register(f"sent_{table}", _typed(declared["columns"], _rows(some, table)))
                columns = ", ".join(
                    f"cast({quoted(c['name'])} as {c['sql_type']}) as {quoted(c['name'])}" for c in declared["columns"]
                )
                cursor.execute(f"create or replace temp view {quoted(table)} as select {columns} from sent_{table}")  # noqa: S608
            for name, family in plan["families"].items():
                statement = family_select(family["sql"], [(column, kind) for column, kind in family["columns"]])
                try:
                    parts[name].append(cursor.execute(statement).df().set_index(KEY))
                except duckdb.Error:  # its words quote the value
                    raise SkewError(
                        f"the SQL of features/{name} cannot take rows that the service decided on; compare both on them"
                    ) from None
    return {name: pd.concat(frames) if frames else pd.DataFrame() for name, frames in parts.items()}


def compare(
    features: Sequence[BundleFeature],
    plan: Mapping[str, Any],
    sent: Sent,
    logged: pd.DataFrame,
    again: Mapping[str, pd.DataFrame],
) -> SkewReport:
    """Compare what was logged with what was computed again, feature by feature.

    Parameters
    ----------
    features
        The model's inputs.
    plan
        The bundle's; names the family of each flag.
    sent
        What each applicant sent: says which families were computed from it.
    logged
        The inputs as logged, by applicant.
    again
        Family -> its features computed again, by applicant.
    """
    skewed, values, decisions = [], 0, set[int]()
    for feature in features:
        family = plan["presence"].get(feature.name, feature.family)
        ids = [applicant for applicant, one in sent.items() if family in families_sent(one, plan)]
        if not ids:
            continue
        decisions |= set(ids)
        values += len(ids)
        if feature.name in plan["presence"]:
            computed: pd.Series[Any] = pd.Series([each in again[family].index for each in ids], index=ids)
        else:
            computed = again[family][feature.name].reindex(ids) if len(again[family]) else pd.Series(None, index=ids)
        differs, size = _differences(feature, logged.loc[ids, feature.name], computed)
        if count := int(differs.sum()):
            known = size[differs & ~np.isnan(size)]
            largest = float(known.max()) if len(known) else None
            skewed.append(SkewedFeature(feature.name, count, largest))
    skewed.sort(key=lambda each: (-each.decisions, each.feature))
    return SkewReport(len(decisions), values, tuple(skewed))


def families_sent(one: Mapping[str, Any], plan: Mapping[str, Any]) -> list[str]:
    """Name the families the service computed from what an applicant sent: all where histories came too, the application's otherwise."""
    if one["histories"]:
        return [name for name in plan["families"] if name != APPLICATION or one["application"] is not None]
    return [] if one["application"] is None else [APPLICATION]


def _differences(
    feature: BundleFeature, logged: "pd.Series[Any]", computed: "pd.Series[Any]"
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Tell where a feature differs, and by how much where both are numbers; a number may differ by its rounding to float32."""
    if feature.kind == "category":
        known = computed.where(computed.isin(feature.categories or ()))
        same = (known == logged) | (known.isna() & logged.isna())
        return ~same.to_numpy(dtype=bool), np.full(len(logged), np.nan)
    saw, made = (each.astype("float64").to_numpy() for each in (logged, computed))
    made = np.where(np.isinf(made), np.nan, made)  # the service refuses what is infinite
    room = TOLERANCE * np.maximum(1.0, np.abs(made))
    size = np.fmax(np.fmax(to_float32(made - room) - saw, saw - to_float32(made + room)), 0.0)
    size[np.isnan(saw) | np.isnan(made)] = np.nan
    return (size > 0) | (np.isnan(saw) != np.isnan(made)), size


def _apart(sent: Sent) -> Iterator[Sent]:
    """Part applicants who sent the same credit's id, as in a table of all of them its rows would be both's."""
    rounds: list[tuple[set[tuple[str, Any]], dict[int, Mapping[str, Any]]]] = []
    for applicant, one in sent.items():
        rows = [row for table in (one["histories"] or {}).values() for row in table]
        mine = {(name, row[name]) for row in rows for name in CREDITS if row.get(name) is not None}
        for taken, members in rounds:
            if not taken & mine:
                taken.update(mine)
                members[applicant] = one
                break
        else:
            rounds.append((mine, {applicant: one}))
    return (members for _, members in rounds)


def _rows(sent: Sent, table: str) -> list[Mapping[str, Any]]:
    if table == APPLICATION:
        return [{**(one["application"] or {}), APPLICANT: applicant} for applicant, one in sent.items()]
    return [row for one in sent.values() for row in (one["histories"] or {}).get(table, ())]


def _typed(columns: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    schema = pa.schema([pa.field(column["name"], ARROW[column["type"]]) for column in columns])
    return pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
