"""One table of applicants measured against the model that decides on them.

What belongs here: the order of the work. What does not: each step of it (the modules beside this one), where tables lie (`defs`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from creditrisk_assets.features.families import APPLICATION_TABLES, APPLICATION_VIEW
from creditrisk_assets.features.lineage import Origins, applicant_lineage
from creditrisk_assets.features.statement import KEY
from creditrisk_assets.modelling.bundle import Bundle, Encoder
from creditrisk_assets.modelling.part_scores import columns_of, inputs_of, score_part, score_table
from creditrisk_assets.modelling.policy import DriftLimits, Policy
from creditrisk_assets.modelling.reference import Distribution, NumberReference
from creditrisk_assets.modelling.tables import sample_part
from creditrisk_assets.monitoring.drift import causes as named
from creditrisk_assets.monitoring.drift.attribution import compare_contributions, compare_reasons
from creditrisk_assets.monitoring.drift.counting import (
    CategoryCounts,
    Counts,
    count_column,
    count_numbers,
    count_table,
)
from creditrisk_assets.monitoring.drift.domain import tell_apart
from creditrisk_assets.monitoring.drift.effects import compare
from creditrisk_assets.monitoring.drift.report import (
    DECISION,
    GRADE,
    OUTCOMES,
    SCORE,
    Column,
    Domain,
    DriftReport,
    Samples,
    drift_table,
    status_of,
    words_of,
)
from creditrisk_assets.monitoring.drift.segments import moved_segments

PD, RAW_KEY = "pd", "SK_ID_CURR"
HALF = 0.5
DOMAIN_GAIN = 0.9  # of the model's gain rests on the inputs the domain classifier sees

Integers = NDArray[np.int64]
Numbers = NDArray[np.float64]


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
    limits = policy.drift
    origins = feeds_of(applicant_lineage() if origins is None else origins)
    chosen = None if among is None else np.sort(pq.read_table(among, columns=[RAW_KEY]).column(RAW_KEY).to_numpy())
    counted = count_table(table, bundle.reference.inputs, among=chosen, threads=threads)
    ids, pds = _scores(bundle, table, chosen)
    columns = _inputs(bundle, counted, importance) + _outcomes(bundle, pds)
    samples = None if reference is None else _samples(con, bundle, reference, table, limits, among)
    attribution = None
    if samples is not None:
        attribution = compare_contributions(bundle, samples, limits.explained_rows, limits.seed)
        reasons = compare_reasons(bundle, samples, bundle.policy, limits.explained_rows, limits.seed)
        columns += [] if reasons is None else [reasons]
    found = drift_table(columns, limits)
    domain = None if samples is None else _domain(bundle, samples, found, limits, threads)
    before, now = bundle.reference.applicants, len(ids)
    shift = named.prior_shift(bundle.reference, pds, limits)
    ratio = None if shift is None else shift.ratio
    causes = named.faults(found, _scales(con, bundle, table, among, found, limits), origins, limits)
    unlike = named.moved_inputs(found, limits)
    if shift is not None and shift.large and not causes:
        unlike = _unlike(con, bundle, table, among, unlike, shift, limits)
    else:
        shift = None
    changed = named.covariate(found, causes, origins, limits, unlike if shift is not None else ())
    if changed is not None and (unlike or named.prior(shift) is None):
        causes.append(changed)
    if not causes:
        rate = named.prior(shift)
        if rate is None and outcomes:  # outcomes of another default rate say what the scores said already
            rate = named.concept(*_with_outcome(ids, pds, outcomes), ratio, limits)
        others = (rate, named.attribution_moved(attribution, limits), named.mixture(domain, limits))
        causes += [cause for cause in others if cause is not None]
    if min(before, now) < limits.minimum_rows:
        causes = []
    inputs = found[~found["feature"].isin(OUTCOMES)]
    drifted = inputs[inputs["drifted"]]
    status = status_of(found, causes, now, before, limits)
    return DriftReport(
        status=status,
        words=words_of(status, found, causes, now, before, limits),
        reference_rows=before,
        current_rows=now,
        drifted_share=len(drifted) / len(inputs),
        drifted_importance=float(drifted["importance"].sum()),
        score_psi=_score_psi(found),
        causes=tuple(causes),
        prior=ratio,
        feeds=named.moved_feeds(drifted, origins),
        table=found,
        segments=pd.DataFrame() if reference is None else moved_segments(reference, table, policy.segments, ids, pds),
        attribution=attribution,
        domain=domain,
        samples=samples,
    )


def feeds_of(origins: Mapping[str, Origins]) -> dict[str, Origins]:
    """Name the applications one feed: those of the training are read for no applicant of today."""
    return {
        name: frozenset(
            (APPLICATION_VIEW if table in APPLICATION_TABLES else table, column) for table, column in made_from
        )
        for name, made_from in origins.items()
    }


def _scores(bundle: Bundle, table: Path, among: Integers | None) -> tuple[Integers, Numbers]:
    if PD not in pq.read_schema(table).names:
        return score_table(bundle, table, among)
    known = pq.read_table(table, columns=[KEY, PD])
    ids, pds = known.column(KEY).to_numpy(), known.column(PD).to_numpy()
    wanted = np.ones(len(ids), dtype=bool) if among is None else np.isin(ids, among)
    return ids[wanted], pds[wanted]


def _inputs(bundle: Bundle, counted: Mapping[str, Counts], importance: Mapping[str, float]) -> list[Column]:
    rows = bundle.reference.applicants
    return [
        Column(
            feature.name,
            feature.family,
            rows,
            counted[feature.name].rows,
            compare(bundle.reference.inputs[feature.name], counted[feature.name]),
            importance.get(feature.name, 0.0),
        )
        for feature in bundle.features
    ]


def _outcomes(bundle: Bundle, pds: Numbers) -> list[Column]:
    """Compare scores, grades and decisions: those of the PD alone by the bundle's own policy, as its reference has them."""
    known = bundle.reference.scores
    if known is None:
        return []
    decided = [bundle.policy.decide(pd) for pd in pds.tolist()]
    sides: list[tuple[str, Distribution, Counts]] = [
        (SCORE, known.pds, count_numbers(known.pds, pds.astype(np.float32))),
        (GRADE, known.grades, _named_counts([one.band for one in decided])),
        (DECISION, known.decisions, _named_counts([one.decision for one in decided])),
    ]
    return [
        Column(name, "model", bundle.reference.applicants, len(pds), compare(before, now), 0.0)
        for name, before, now in sides
    ]


def _named_counts(values: list[str]) -> CategoryCounts:
    names, counts = np.unique(values, return_counts=True)
    return CategoryCounts(len(values), 0, dict(zip(names.tolist(), counts.tolist(), strict=True)))


def _samples(
    con: duckdb.DuckDBPyConnection,
    bundle: Bundle,
    reference: Path,
    table: Path,
    limits: DriftLimits,
    among: Path | None,
) -> Samples:
    size: dict[str, Any] = {"rows": limits.sample_rows, "seed": limits.seed}
    inputs = inputs_of(bundle)
    before = sample_part(con, reference, inputs, **size)
    now = sample_part(con, table, inputs, **size, among=among)
    return Samples(before, now, (score_part(bundle, before), score_part(bundle, now)))


def _domain(bundle: Bundle, samples: Samples, found: pd.DataFrame, limits: DriftLimits, threads: int) -> Domain | None:
    """Tell the samples apart by the inputs that matter to the model and did not drift: what moved by itself is named already."""
    quiet = found[~found["drifted"] & ~found["feature"].isin(OUTCOMES)].sort_values("rank")
    gain = quiet["importance"].cumsum()
    chosen = set(quiet.loc[gain.shift(fill_value=0.0) < DOMAIN_GAIN * gain.max(), "feature"])
    features = [feature for feature in bundle.features if feature.name in chosen]
    encoder = Encoder(tuple(features))
    before, now = (encoder.encode(columns_of(part, features)) for part in (samples.reference, samples.current))
    return tell_apart(before, now, encoder.names, seed=limits.seed, threads=threads) if features else None


def _scales(
    con: duckdb.DuckDBPyConnection,
    bundle: Bundle,
    table: Path,
    among: Path | None,
    found: pd.DataFrame,
    limits: DriftLimits,
) -> dict[str, float]:
    """Find inputs that drifted by a unit's factor, on a sample."""
    drifted = set(found.loc[found["drifted"], "feature"])
    inputs = [item for item in inputs_of(bundle) if item.name in drifted and item.kind == "numeric"]
    if not inputs:
        return {}
    part = sample_part(con, table, inputs, rows=limits.sample_rows, seed=limits.seed, among=among)
    scales = {}
    for item in inputs:
        values, known = part.frame[item.name].dropna().to_numpy(dtype=np.float64), bundle.reference.inputs[item.name]
        factor = named.scale_factor(known, values) if isinstance(known, NumberReference) else None
        if factor is not None:
            scales[item.name] = factor
    return scales


def _unlike(
    con: duckdb.DuckDBPyConnection,
    bundle: Bundle,
    table: Path,
    among: Path | None,
    moved: Sequence[str],
    shift: named.Shift,
    limits: DriftLimits,
) -> list[str]:
    """Find inputs that are still moved when a sample is drawn as if the default rate had not changed."""
    inputs = [item for item in inputs_of(bundle) if item.name in set(moved)]
    if not inputs:
        return []
    part = sample_part(con, table, inputs_of(bundle), rows=limits.sample_rows, seed=limits.seed, among=among)
    weights = np.cumsum(shift.undo(score_part(bundle, part)))
    evenly = (np.arange(len(part)) + HALF) / len(part) * weights[-1]
    undone = part.take(np.searchsorted(weights, evenly))
    found = []
    for item in inputs:
        known, column = bundle.reference.inputs[item.name], pa.chunked_array([pa.array(undone.frame[item.name])])
        effect = compare(known, count_column(item.name, known, column))
        if effect.psi - effect.expected_psi >= named.LEFT_OVER or effect.wasserstein >= limits.wasserstein_alert:
            found.append(item.name)
    return found


def _with_outcome(ids: Integers, pds: Numbers, outcomes: Mapping[int, int]) -> tuple[Numbers, Integers]:
    known = [place for place, one in enumerate(ids.tolist()) if one in outcomes]
    return pds[known], np.array([outcomes[one] for one in ids[known].tolist()], dtype=np.int64)


def _score_psi(found: pd.DataFrame) -> float:
    scores = found.loc[found["feature"] == SCORE, "statistic"]
    return float(scores.iloc[0]) if len(scores) else 0.0
