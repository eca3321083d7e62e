"""The production months a candidate is compared on: found in the lake, scored by both versions, one month at a time.

What belongs here: which months count, what a month lacks, bringing outcomes to its applicants. What does not: what is compared
(`registry.months_compared`), how months are made (`months`), the reference applicants (`canary`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from creditrisk_assets.contracts.performance import MATURED
from creditrisk_assets.defs.months import FEATURES, MONTH_APPLICATIONS, RAW_OUTCOMES
from creditrisk_assets.features.statement import KEY
from creditrisk_assets.lake import Lake, LakeError, Version
from creditrisk_assets.modelling.bundle import Bundle, BundleError
from creditrisk_assets.modelling.part_scores import score_table
from creditrisk_assets.modelling.policy import CanaryLimits, MonitoringRules
from creditrisk_assets.modelling.signing import trusted_keys
from creditrisk_assets.monitoring.performance import REFUSED, maturation, newest_outcomes
from creditrisk_assets.registry.comparison import Side
from creditrisk_assets.registry.months_compared import ComparedMonth, Months, compare_month, judge_months
from creditrisk_assets.settings import Settings
from creditrisk_assets.simulation.months import month_number

SHOWN = 3
OUTCOME_COLUMNS = ["SK_ID_CURR", "OUTCOME", "OBSERVED_MONTH"]


@dataclass(frozen=True)
class _Known:
    """What is known of the outcomes of a month."""

    state: str
    outcomes: "pd.Series[int]"  # by applicant; empty before the month is old enough and almost all are known


def month_versions(lake: Lake) -> dict[str, str]:
    """Return the version of every published month of applications and outcomes, by its key."""
    keys = (f"{key}/{month}" for key in (MONTH_APPLICATIONS, RAW_OUTCOMES) for month in lake.parts(key))
    return {key: lake.require(key).version for key in keys}


def compare_months(
    settings: Settings,
    lake: Lake,
    candidate: Bundle,
    champion: Bundle,
    limits: CanaryLimits,
    rules: MonitoringRules,
) -> Months:
    """Compare two versions on the newest months, and on the newest with outcomes.

    Parameters
    ----------
    settings, lake
        The deployment, and where its months are.
    candidate, champion
        Verified.
    limits, rules
        Of the policy: what blocks, and when outcomes count.

    Raises
    ------
    LakeError
        A month was damaged.
    """
    compared: list[ComparedMonth] = []
    left_out: dict[str, str] = {}
    decided_by = cache(partial(_bundle, settings))
    for month, known in _wanted(lake, limits, rules):
        version = _intact(lake, f"{MONTH_APPLICATIONS}/{month}")
        try:
            decider = decided_by(version.manifest.metadata["facts"]["model_version"])
            _require_comparable(settings, month, version, decider, (candidate, champion))
            (ids, one), (_, other) = (score_table(model, version.path / FEATURES) for model in (candidate, champion))
        except (BundleError, ValueError) as error:
            left_out[month] = str(error)
            continue
        if not len(ids):
            left_out[month] = "what its decisions were made from is not there for any applicant"
            continue
        after, before = Side(candidate.version, candidate.policy, one), Side(champion.version, champion.policy, other)
        compared.append(compare_month(month, known.state, after, before, _of(ids, known.outcomes), limits))
    return judge_months(compared, left_out, limits)


def _wanted(lake: Lake, limits: CanaryLimits, rules: MonitoringRules) -> Iterator[tuple[str, _Known]]:
    """Yield the newest months and the newest with outcomes, oldest first."""
    months, recent = lake.parts(MONTH_APPLICATIONS), limits.months.recent
    now = max((month_number(month) for month in (*months, *lake.parts(RAW_OUTCOMES))), default=0)
    found: list[tuple[str, _Known]] = []
    with_outcomes = 0
    for place, month in enumerate(reversed(months)):
        if with_outcomes == recent:
            break
        known = _known(lake, month, now, rules)
        with_outcomes += known.state == MATURED
        if place < recent or known.state == MATURED:
            found.append((month, known))
    yield from reversed(found)


def _known(lake: Lake, month: str, now: int, rules: MonitoringRules) -> _Known:
    """Read the outcomes of a month, the newest of each granted loan."""
    decided = pd.read_parquet(_intact(lake, f"{MONTH_APPLICATIONS}/{month}").data, columns=[KEY, "decision"])
    granted = decided.loc[decided["decision"] != REFUSED, KEY]
    told = [
        pd.read_parquet(version.data, columns=OUTCOME_COLUMNS, filters=[("APPLICATION_MONTH", "=", month)])
        for key in (f"{RAW_OUTCOMES}/{part}" for part in lake.parts(RAW_OUTCOMES))
        if _tells_of(version := _intact(lake, key), month)
    ]
    nothing: pd.Series[int] = pd.Series(dtype="int64")
    known = nothing if not told else newest_outcomes(pd.concat(told)).set_index("SK_ID_CURR")["OUTCOME"]
    known = known[known.index.isin(granted)]
    share = len(known) / len(granted) if len(granted) else 0.0
    state = maturation(now - month_number(month), share, rules)
    return _Known(state, known if state == MATURED else nothing)


def _tells_of(outcomes: Version, month: str) -> bool:
    return any(row["applied_in"] == month for row in outcomes.manifest.metadata["facts"]["maturity"])


def _of(ids: NDArray[np.int64], outcomes: "pd.Series[int]") -> NDArray[np.float64]:
    return np.asarray(outcomes.reindex(ids), dtype=np.float64)


def _intact(lake: Lake, key: str) -> Version:
    version = lake.require(key)
    if (damaged := version.damage()) is not None:
        raise LakeError(f"{key}: its file {damaged} was damaged; run `creditrisk backfill {key.rpartition('/')[2]}`")
    return version


def _bundle(settings: Settings, version: str) -> Bundle:
    try:
        return Bundle.load(settings.bundles / version, trusted_keys(settings.keys, settings.signing_key))
    except BundleError as error:
        raise BundleError(f"what its features mean is not known, for the bundle that decided on it: {error}") from error


def _require_comparable(
    settings: Settings, month: str, version: Version, decider: Bundle, sides: tuple[Bundle, Bundle]
) -> None:
    """Refuse a month of other people, or one that lacks what a version takes.

    Raises
    ------
    ValueError
        It is so; the message says what of it.
    """
    drawn = settings.months is None and (settings.simulation / f"{month}.json").exists()
    sample = drawn or bool(decider.metrics.get("synthetic"))
    if sample != bool(sides[0].metrics.get("synthetic")):
        kind, other = ("the sample portfolio", "real data") if sample else ("real data", "the sample portfolio")
        raise ValueError(f"its applicants are of {kind}, the candidate is of {other}")
    there = set(pq.read_schema(version.path / FEATURES).names)
    for name, model in zip(("the candidate", "the champion"), sides, strict=True):
        if missing := [each for each in model.feature_names if each not in there]:
            raise ValueError(
                f"it was decided by {decider.version}, so it lacks {len(missing)} of {len(model.feature_names)} inputs of {name}:"
                f" {', '.join(missing[:SHOWN])}{', …' if len(missing) > SHOWN else ''}"
            )
        theirs, mine = decider.definitions, model.definitions
        if changed := sorted({f.family for f in model.features if theirs.get(f.family) != mine.get(f.family)}):
            raise ValueError(f"features/{', features/'.join(changed)} meant something else than it means to {name}")
