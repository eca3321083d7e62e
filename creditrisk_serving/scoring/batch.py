"""Scoring whole tables of features, in constant memory, by the code that scores requests.

What belongs here: streaming features in and scores out. What does not: how features are made, where results are
published (`defs`). The running service does not import this module.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from creditrisk_assets.modelling.bundle import Bundle
from creditrisk_serving.scoring.champion import policy_version

BATCH_ROWS = 32_768
SCHEMA = pa.schema(
    [
        pa.field("sk_id_curr", pa.int64(), nullable=False),
        pa.field("pd", pa.float64(), nullable=False),
        pa.field("decision", pa.string(), nullable=False),
        pa.field("band", pa.string(), nullable=False),
        pa.field("rule", pa.string()),
        pa.field("points", pa.int64(), nullable=False),
        pa.field("model_version", pa.string(), nullable=False),
        pa.field("policy_version", pa.string(), nullable=False),
    ]
)


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
        Parquet file to write: sk_id_curr, pd, decision, band, rule, points, model_version, policy_version; zstd.
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


def _select(bundle: Bundle, relation: str) -> str:
    """Read what decisions take and no other column; all but categories as doubles, which hold every feature exactly."""
    categories = {feature.name for feature in bundle.features if feature.kind == "category"}
    columns = ["sk_id_curr"]
    for needed in bundle.needed_names:
        name = '"' + needed.replace('"', '""') + '"'
        columns.append(name if needed in categories else f"cast({name} as double) as {name}")
    return f"select {', '.join(columns)} from {relation}"  # noqa: S608 # names of a signed bundle, relation of the caller's code


def _score_batch(bundle: Bundle, batch: Any, writer: Any) -> int:
    if batch.num_rows == 0:
        return 0
    scores = bundle.score(bundle.encode(_columns(bundle, batch)))
    ruled = {rule.feature: batch.column(rule.feature).to_pylist() for rule in bundle.policy.eligibility}
    outcomes = [
        bundle.policy.decide(pd, {name: values[row] for name, values in ruled.items()})
        for row, pd in enumerate(scores.tolist())
    ]
    rows = int(batch.num_rows)
    writer.write_table(
        pa.table(
            [
                batch.column("sk_id_curr").cast(pa.int64()),
                pa.array(scores),
                pa.array([outcome.decision for outcome in outcomes]),
                pa.array([outcome.band for outcome in outcomes]),
                pa.array([outcome.rule for outcome in outcomes], pa.string()),
                pa.array([bundle.policy.score.points(pd) for pd in scores.tolist()], pa.int64()),
                pa.array([bundle.version] * rows),
                pa.array([policy_version(bundle)] * rows),
            ],
            schema=SCHEMA,
        )
    )
    return rows


def _columns(bundle: Bundle, batch: Any) -> Mapping[str, Any]:
    """Turn Arrow columns into what the encoder takes: arrays with NaN for NULL, lists of category names."""
    return {
        feature.name: batch.column(feature.name).to_pylist()
        if feature.kind == "category"
        else np.asarray(batch.column(feature.name).to_numpy(zero_copy_only=False))
        for feature in bundle.features
    }
