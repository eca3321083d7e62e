"""One table of applicants measured against the model that decides on them.

What belongs here: the order of the work. What does not: each step of it (the modules beside this one), where tables lie (`defs`).
"""

from collections.abc import Mapping
from pathlib import Path

import duckdb

from creditrisk_assets.features.lineage import Origins
from creditrisk_assets.modelling.bundle import Bundle
from creditrisk_assets.modelling.policy import Policy
from creditrisk_assets.monitoring.drift.report import DriftReport


def measure_month(
    con: duckdb.DuckDBPyConnection,
    bundle: Bundle,
    table: Path,
    policy: Policy,
    *,
    importance: Mapping[str, float],
    origins: Mapping[str, Origins] | None = None,
    reference: Path | None = None,
    among: Path | None = None,
    outcomes: Mapping[int, int] | None = None,
    threads: int = 1,
) -> DriftReport:
    """Compare all applicants of a table with those the model was trained on.

    Parameters
    ----------
    con
        A DuckDB connection, for the samples.
    bundle
        The model: inputs, reference distributions, scores.
    table
        Parquet with `sk_id_curr` and every input of the model. A column `pd` holds PDs already computed; without it they are.
    policy
        Its limits (`drift:`), grades, cut-offs and segments.
    importance
        Input -> share of the model's gain (`model/pd`, importance.json).
    origins
        Input -> the (raw table, RAW_COLUMN)s it is made from; None: as the store's lineage says.
    reference
        Parquet of the training applicants, `training/split_train`. With it contributions, reasons, the domain classifier and segments are
        compared too, on samples of the policy's size; without it they are not.
    among
        Parquet with a column SK_ID_CURR: only these applicants of the table are looked at.
    outcomes
        Applicant -> 1 for a default, 0 otherwise, of those known. With it a change of what defaults is told from one of who applies.
    threads
        For counting and scoring.

    Raises
    ------
    EncodingError
        A column is missing, of another kind than declared, or holds infinity.
    """
    raise NotImplementedError
