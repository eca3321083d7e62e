"""The split into training and test applicants, and what must be true of it.

What belongs here: who is in which part, the two tables, the predicates behind their checks. What does not: folds inside
the training part (`training`), the tables' contract (`contracts.splits`).

Who is in the test part is decided by a seeded hash of the applicant's id, within each class of TARGET: the first 20 %
of each class in the order of the hash. The shares are exact to rounding, so default rates agree even for a few thousand
applicants, and the order is fixed for ever, so new applicants reshuffle nobody: they only move the border, and with it
the few applicants next to it. (A fixed border on the hash would move nobody at all, but leaves 15,000 applicants with
default rates up to a percentage point apart and fifty applicants with no default to test on.) MD5 rather than DuckDB's
own hash, which may change between releases.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.features.statement import KEY, quoted

TARGET = "target"
TEST_SHARE = 0.2
SEED = 20250101
RATE_TOLERANCE = 0.002  # default rates, beyond what rounding to whole applicants explains
BATCH_ROWS = 65_536


class SplitError(ValueError):
    """The tables cannot be split; the message says what is wrong with them."""


@dataclass(frozen=True)
class SplitCounts:
    """How many applicants, and how many defaults among them, each part has."""

    train_rows: int
    train_defaults: int
    test_rows: int
    test_defaults: int


@dataclass(frozen=True)
class CheckResult:
    """What a predicate found: a claim, whether it holds, what was measured against which limit."""

    claim: str
    passed: bool
    measured: float
    limit: float
    words: str


def split_applicants(
    con: duckdb.DuckDBPyConnection,
    applicant: Path,
    application_train: Path,
    train: Path,
    test: Path,
    *,
    test_share: float = TEST_SHARE,
    seed: int = SEED,
) -> SplitCounts:
    """Write the training and the test table.

    Parameters
    ----------
    con
        A DuckDB connection.
    applicant
        `features/applicant`: one row per application, `sk_id_curr` first.
    application_train
        `raw/application_train`: gives TARGET; applications without a row there (the test portfolio) are in neither
        part.
    train, test
        Parquet files to write: `sk_id_curr`, `target`, every feature; one row per applicant in order of `sk_id_curr`.
    test_share
        Share of each class in the test part, rounded to whole applicants, at least one of a class that has two.
    seed
        Another seed gives another split.

    Raises
    ------
    SplitError
        No applicant has a TARGET, TARGET has one class, or an applicant with a TARGET has no features.
    """
    if not 0 < test_share < 1:
        raise SplitError(f"test_share must lie between 0 and 1, not {test_share}")
    _assign(con, applicant, application_train, test_share, seed)
    counts = _counts(con)
    _write(con, applicant, train, test)
    con.execute("drop table split_parts")
    return counts


def _write(con: duckdb.DuckDBPyConnection, applicant: Path, train: Path, test: Path) -> None:
    """Stream the feature table into the two parts, in its own order.

    A join in DuckDB would need a sort of the wide table afterwards (measured: 11 s instead of 5 s for 300,000 × 250),
    and random doubles gain nothing from dictionaries (16 s).
    """
    parts = con.execute(f"select {KEY}, {TARGET}, part = 'test' from split_parts order by {KEY}").fetchnumpy()  # noqa: S608
    keys, targets, in_test = (np.asarray(column) for column in parts.values())
    source = pq.ParquetFile(applicant)
    schema = source.schema_arrow.remove_metadata()
    if schema.names[:1] != [KEY] or TARGET in schema.names:
        raise SplitError(f"features/applicant must begin with {KEY} and hold no {TARGET}; rebuild the features")
    text = [f.name for f in schema if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)]
    options = {"compression": "zstd", "use_dictionary": text, "store_schema": False}
    schema = schema.insert(1, pa.field(TARGET, pa.int32(), nullable=False))
    last = None
    with pq.ParquetWriter(train, schema, **options) as to_train, pq.ParquetWriter(test, schema, **options) as to_test:
        for batch in source.iter_batches(batch_size=BATCH_ROWS):
            ids = batch.column(0).to_numpy()
            if (np.diff(ids) <= 0).any() or (last is not None and ids[0] <= last):
                raise SplitError(
                    f"features/applicant is not in order of {KEY}, or has a row twice; rebuild the features"
                )
            last = ids[-1]
            place = np.minimum(np.searchsorted(keys, ids), len(keys) - 1)
            known = keys[place] == ids
            labelled = batch.add_column(1, schema.field(TARGET), pa.array(targets[place], pa.int32()))
            to_train.write_batch(labelled.filter(pa.array(known & ~in_test[place])))
            to_test.write_batch(labelled.filter(pa.array(known & in_test[place])))


def _assign(con: duckdb.DuckDBPyConnection, applicant: Path, application_train: Path, share: float, seed: int) -> None:
    """Make the table of applicants and their parts."""
    con.execute(
        f"""
        create or replace temp table split_parts as
        with labelled as (
            select SK_ID_CURR as {KEY}, cast(TARGET as integer) as {TARGET}, md5('{int(seed)}:' || SK_ID_CURR) as draw
            from {parquet(application_train)} where TARGET is not null
        ),
        ranked as (
            select *, row_number() over (partition by {TARGET} order by draw, {KEY}) as place,
                count(*) over (partition by {TARGET}) as class_rows
            from labelled
        )
        select {KEY}, {TARGET},
            case when place <= least(greatest(round(class_rows * {float(share)!r}), 1), class_rows - 1)
                then 'test' else 'train' end as part
        from ranked
        """  # noqa: S608 - numbers and quoted paths only
    )
    rows, classes = _one(con, f"select count(*), count(distinct {TARGET}) from split_parts")  # noqa: S608
    if not rows:
        raise SplitError(
            "no applicant has a TARGET: application_train is empty; give a source with labelled applications"
        )
    if classes < 2:
        raise SplitError(f"TARGET has one class in all {rows} applications; a model needs defaults and non-defaults")
    features = parquet(applicant)
    (without,) = _one(con, f"select count(*) from split_parts anti join {features} using ({KEY})")  # noqa: S608
    if without:
        raise SplitError(f"{without} applicants with a TARGET have no row in features/applicant; rebuild the features")


def _counts(con: duckdb.DuckDBPyConnection) -> SplitCounts:
    parts = {
        part: (rows, defaults)
        for part, rows, defaults in con.execute(
            f"select part, count(*), cast(sum({TARGET}) as bigint) from split_parts group by part"  # noqa: S608
        ).fetchall()
    }
    return SplitCounts(*parts["train"], *parts["test"])


def one_row_per_applicant(con: duckdb.DuckDBPyConnection, table: Path) -> CheckResult:
    """Claim: no applicant is twice in a part, and none has an empty id."""
    (excess,) = _one(con, f"select count(*) - count(distinct {KEY}) from {parquet(table)}")  # noqa: S608
    words = f"{excess} rows are a second row of their applicant or have no id"
    return CheckResult("one_row_per_applicant", excess == 0, float(excess), 0.0, words)


def train_test_disjoint(con: duckdb.DuckDBPyConnection, train: Path, test: Path) -> CheckResult:
    """Claim: no applicant is in both parts."""
    parts = f"{parquet(train)} semi join {parquet(test)} using ({KEY})"
    query = f"select count(*) from {parts}"  # noqa: S608 - quoted paths only
    (both,) = _one(con, query)
    return CheckResult("train_test_disjoint", both == 0, float(both), 0.0, f"{both} applicants are in both parts")


def default_rates_equal(counts: SplitCounts, tolerance: float = RATE_TOLERANCE) -> CheckResult:
    """Claim: the default rates of the parts differ by no more than a tolerance and the rounding to whole applicants."""
    if not (counts.train_rows and counts.test_rows):
        return CheckResult("default_rates_equal", False, 1.0, tolerance, "a part has no applicant")
    train, test = counts.train_defaults / counts.train_rows, counts.test_defaults / counts.test_rows
    limit = tolerance + 1 / counts.train_rows + 1 / counts.test_rows
    words = f"default rate {train:.4f} in training, {test:.4f} in test"
    return CheckResult("default_rates_equal", abs(train - test) <= limit, abs(train - test), limit, words)


def numbers_finite(con: duckdb.DuckDBPyConnection, table: Path) -> CheckResult:
    """Claim: no float column holds NaN or infinity (an unknown value is NULL)."""
    floats = [name for name, kind in columns_of(con, table) if kind in {"DOUBLE", "FLOAT"}]
    if not floats:
        return CheckResult("numbers_finite", True, 0.0, 0.0, "no float column")
    sums = ", ".join(f"count(*) filter (not isfinite({quoted(name)}))" for name in floats)
    found = _one(con, f"select {sums} from {parquet(table)}")  # noqa: S608 - names are quoted
    broken = {name: count for name, count in zip(floats, found, strict=True) if count}
    words = "; ".join(f"{name}: {count} rows" for name, count in sorted(broken.items())[:20])
    total = float(sum(broken.values()))
    return CheckResult("numbers_finite", not broken, total, 0.0, words or f"{len(floats)} float columns are finite")


def no_feature_missing(con: duckdb.DuckDBPyConnection, table: Path, expected: Sequence[str]) -> CheckResult:
    """Claim: every feature of the store is a column of the part."""
    present = {name for name, _ in columns_of(con, table)}
    missing = [name for name in expected if name not in present]
    words = f"missing: {', '.join(missing[:20])}" if missing else f"all {len(expected)} features are there"
    return CheckResult("no_feature_missing", not missing, float(len(missing)), 0.0, words)


def columns_of(con: duckdb.DuckDBPyConnection, table: Path) -> list[tuple[str, str]]:
    """List a Parquet file's columns with their DuckDB types."""
    rows = con.execute(f"describe select * from {parquet(table)}").fetchall()  # noqa: S608
    return [(row[0], row[1]) for row in rows]


def _one(con: duckdb.DuckDBPyConnection, query: str) -> tuple[int, ...]:
    row = con.execute(query).fetchone()
    if row is None:
        raise SplitError(f"a count came back empty: {query}")
    return tuple(row)
