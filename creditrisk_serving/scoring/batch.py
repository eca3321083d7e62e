"""Scoring whole tables of features, in constant memory, by the code that scores requests.

What belongs here: streaming features in and scores out. What does not: how features are made, where results are
published (`defs`). The running service does not import this module.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from creditrisk_assets.modelling.bundle import Bundle, to_float32
from creditrisk_assets.modelling.explanation.principal import MOST
from creditrisk_assets.modelling.policy import Decision
from creditrisk_serving.decisions.schemas import Reason
from creditrisk_serving.scoring.champion import policy_version
from creditrisk_serving.scoring.contributions import adverse_contributions
from creditrisk_serving.scoring.reasons import principal_reasons

BATCH_ROWS = 4_096
REASONS = tuple(f"reason_{place}" for place in range(1, MOST + 1))  # codes, the principal one first
SCHEMA = pa.schema(
    [
        pa.field("sk_id_curr", pa.int64(), nullable=False),
        pa.field("pd", pa.float64(), nullable=False),
        pa.field("decision", pa.string(), nullable=False),
        pa.field("band", pa.string(), nullable=False),
        pa.field("rule", pa.string()),
        pa.field("points", pa.int64(), nullable=False),
        *(pa.field(name, pa.string()) for name in REASONS),
        pa.field("model_version", pa.string(), nullable=False),
        pa.field("policy_version", pa.string(), nullable=False),
    ]
)


class Explained(NamedTuple):
    """An applicant decided from a row of features, with the reasons in words."""

    applicant_id: int
    pd: float
    outcome: Decision
    reasons: list[Reason] | None  # None: approved, or nothing may be said


class BatchError(RuntimeError):
    """A table of features cannot be scored; the message says which column or file is at fault."""


def score_features(
    bundle: Bundle,
    relation: str,
    out: Path,
    *,
    connection: duckdb.DuckDBPyConnection | None = None,
    batch_rows: int = BATCH_ROWS,
) -> int:
    """Score every row of a relation.

    Parameters
    ----------
    bundle
        A verified bundle.
    relation
        SQL text of a table with `sk_id_curr` and every feature of the model and its hard rules, one row per applicant: a table's name,
        `read_parquet('…')` or a subquery in parentheses. Its order is kept.
    out
        Parquet file to write: sk_id_curr, pd, decision, band, rule, points, reason_1 to reason_4, model_version, policy_version;
        zstd.
    connection
        Where the relation lives; none: an own one.
    batch_rows
        Rows held at once.

    Returns
    -------
    int
        Rows scored.

    Raises
    ------
    BatchError
        The relation cannot be read or lacks a feature.
    """
    own = duckdb.connect() if connection is None else connection.cursor()
    try:
        reader = own.execute(_select(bundle, relation)).to_arrow_reader(batch_rows)
        with pq.ParquetWriter(out, SCHEMA, compression="zstd") as writer:
            return sum(_score_batch(bundle, batch, writer) for batch in reader)
    except duckdb.Error as error:
        raise BatchError(f"the features cannot be read for scoring: {error}") from error
    finally:
        own.close()


def explain_features(bundle: Bundle, relation: str, connection: duckdb.DuckDBPyConnection) -> Iterator[Explained]:
    """Decide every row of a relation as `score_features` does, and say why in words.

    Raises
    ------
    BatchError
        The relation cannot be read or lacks a feature.
    """
    with closing(connection.cursor()) as own:
        try:
            for batch in own.execute(_select(bundle, relation)).to_arrow_reader(BATCH_ROWS):
                scored = _decided(bundle, batch)
                ids = batch.column("sk_id_curr").to_pylist()
                yield from map(Explained, ids, scored.pds.tolist(), scored.outcomes, scored.reasons)
        except duckdb.Error as error:
            raise BatchError(f"the features cannot be read for reasons: {error}") from error


def _select(bundle: Bundle, relation: str) -> str:
    """Read what decisions take and no other column; all but categories as doubles, which hold every feature exactly."""
    categories = {feature.name for feature in bundle.features if feature.kind == "category"}
    columns = ["sk_id_curr"]
    for needed in bundle.needed_names:
        name = '"' + needed.replace('"', '""') + '"'
        columns.append(name if needed in categories else f"cast({name} as double) as {name}")
    return f"select {', '.join(columns)} from {relation}"  # noqa: S608 # names of a signed bundle, relation of the caller's code


class _Decided(NamedTuple):
    """Rows that were decided."""

    pds: NDArray[np.float64]
    outcomes: list[Decision]
    reasons: list[list[Reason] | None]


def _score_batch(bundle: Bundle, batch: Any, writer: Any) -> int:
    if batch.num_rows == 0:
        return 0
    scored = _decided(bundle, batch)
    pds, outcomes, rows = scored.pds.tolist(), scored.outcomes, int(batch.num_rows)
    none: tuple[str | None, ...] = (None,) * MOST
    codes = [(*(reason.code for reason in reasons or ()), *none)[:MOST] for reasons in scored.reasons]
    writer.write_table(
        pa.table(
            [
                batch.column("sk_id_curr").cast(pa.int64()),
                pa.array(scored.pds),
                pa.array([outcome.decision for outcome in outcomes]),
                pa.array([outcome.band for outcome in outcomes]),
                pa.array([outcome.rule for outcome in outcomes], pa.string()),
                pa.array([bundle.policy.score.points(pd) for pd in pds], pa.int64()),
                *(pa.array([one[place] for one in codes], pa.string()) for place in range(MOST)),
                pa.array([bundle.version] * rows),
                pa.array([policy_version(bundle)] * rows),
            ],
            schema=SCHEMA,
        )
    )
    return rows


def _decided(bundle: Bundle, batch: Any) -> _Decided:
    matrix = bundle.encode(_columns(bundle, batch))
    margins = bundle.booster.margins(matrix)
    scores = bundle.calibrator.pds(margins)
    ruled = {rule.feature: batch.column(rule.feature).to_pylist() for rule in bundle.policy.eligibility}
    outcomes = [
        bundle.policy.decide(pd, {name: values[row] for name, values in ruled.items()})
        for row, pd in enumerate(scores.tolist())
    ]
    return _Decided(scores, outcomes, _reasons(bundle, matrix, margins, scores, outcomes))


def _reasons(
    bundle: Bundle,
    matrix: NDArray[np.float64],
    margins: NDArray[np.float64],
    scores: NDArray[np.float64],
    outcomes: Sequence[Decision],
) -> list[list[Reason] | None]:
    """Give each applicant the principal reasons; None: approved, or nothing may be said."""
    places = [place for place, outcome in enumerate(outcomes) if outcome.decision != "approve"]
    numbers = to_float32(matrix[places])
    found: list[list[Reason] | None] = [None] * len(outcomes)
    for place, row, adverse in zip(
        places, numbers, adverse_contributions(bundle, list(numbers), margins[places].tolist(), most=0), strict=True
    ):
        every = None if adverse is None else adverse.every
        found[place] = principal_reasons(bundle, outcomes[place], float(scores[place]), every, row)
    return found


def _columns(bundle: Bundle, batch: Any) -> Mapping[str, Any]:
    """Turn Arrow columns into what the encoder takes: arrays with NaN for NULL, lists of category names."""
    return {
        feature.name: batch.column(feature.name).to_pylist()
        if feature.kind == "category"
        else np.asarray(batch.column(feature.name).to_numpy(zero_copy_only=False))
        for feature in bundle.features
    }
