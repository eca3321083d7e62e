"""What happened, named from what moved.

What belongs here: telling a lost feed, a lost column, a changed unit, other applicants, another default rate and another meaning
apart. What does not: measuring (`effects`), the limits (the policy).

Faults of the data come first, and what they explain is not looked at again. Then the applicants: inputs that moved are covariate drift,
unless all of them moved as they do where defaults alone became more or less frequent; that is prior drift. Without outcomes nobody can
see that the same applicants default more often; with them that is concept drift.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from creditrisk_assets.features.lineage import Origins
from creditrisk_assets.modelling.auc import Interval
from creditrisk_assets.modelling.policy import DriftLimits
from creditrisk_assets.modelling.reference import NumberReference, Reference
from creditrisk_assets.monitoring.drift.effects import stability_index
from creditrisk_assets.monitoring.drift.report import OUTCOMES, Attribution, Cause, CauseKind, Domain

# Days, weeks, months and years in one another; thousands, cents and per cent.
FACTORS = (7, 10, 12, 24, 30.4375, 60, 100, 365.25, 1000, 3600, 1_000_000)
FACTOR_TOLERANCE = 0.10  # of a factor's logarithm base e
EXPLAINED_SHARE = 0.5  # of the inputs made from a table or column, for it to be named
CONFIDENT = 3.29  # standard errors: once in a thousand months by chance
UNLIKE = 0.02  # PSI that a change of the default rate alone may leave unexplained
LEFT_OVER = 0.04  # the same of one input, once the default rate is undone: the model's PDs are not exact
SMALLEST_FACTOR = 0.05  # by which another default rate may thin out applicants of one PD

Numbers = NDArray[np.float64]


def faults(
    table: pd.DataFrame, scales: Mapping[str, float], origins: Mapping[str, Origins], limits: DriftLimits
) -> list[Cause]:
    """Name faults of the data.

    Parameters
    ----------
    table
        The report's.
    scales
        Input -> the factor by which its values changed, where they did (`scale_factor`).
    origins
        Input -> what it is made from.
    limits
        The policy's.
    """
    inputs = table[~table["feature"].isin(OUTCOMES)].sort_values(["importance", "feature"], ascending=[False, True])
    known = inputs[inputs["missing_reference"] < 1]
    lost_share = 1 - (1 - known["missing_current"]) / (1 - known["missing_reference"])
    lost = known.loc[known["drifted"] & (lost_share >= limits.lost_alert), "feature"].tolist()
    everything = inputs["feature"].tolist()
    found: list[Cause] = []
    tables = _by_table(everything, origins)
    for feed, members in _explaining(lost, tables):
        # tables that are joined and lost the same inputs cannot be told apart
        alike = [table for table, made in tables.items() if set(members) <= set(made) and _explains(members, made)]
        subject = " and ".join(sorted({feed, *alike}))
        found.append(_cause("missing_feed", subject, f"no or nearly no rows of {subject} arrived", members))
    rest = [name for name in lost if name not in _covered(found)]
    for column, members in _explaining(rest, _by_column(everything, origins)):
        found.append(_cause("missing_column", column, f"{column} is missing or nearly so", members))
    scaled = [name for name in inputs["feature"] if name in scales and name not in _covered(found)]
    for column, members in _explaining(scaled, _by_column(everything, origins), least=0.0):
        factor = scales[members[0]]
        said = f"{factor:.4g} times" if factor > 1 else f"one {1 / factor:.4g}th of"
        found.append(
            _cause(
                "unit_change", column, f"{column} looks like another unit: {members[0]} is {said} what it was", members
            )
        )
    return found


def covariate(
    table: pd.DataFrame,
    explained: Sequence[Cause],
    origins: Mapping[str, Origins],
    limits: DriftLimits,
    unlike: Collection[str] = (),
) -> Cause | None:
    """Name a change of the applicants: inputs moved that are many, or that the model rests on, or that moved the scores.

    Parameters
    ----------
    table
        The report's.
    explained
        Faults: what they show is not named again.
    origins
        Input -> what it is made from.
    limits
        The policy's.
    unlike
        Where the scores moved: inputs that moved otherwise than another default rate would move them.
    """
    inputs = table[~table["feature"].isin(OUTCOMES) & ~table["feature"].isin(_covered(explained))]
    left = inputs[inputs["drifted"]]
    share, importance = len(left) / max(1, len(table) - table["feature"].isin(OUTCOMES).sum()), left["importance"].sum()
    if share <= limits.maximum_drifted_share and importance <= limits.maximum_drifted_importance:
        left = inputs[inputs["drifted"] | inputs["feature"].isin(unlike)] if unlike else inputs.iloc[:0]
    if left.empty:
        return None
    left = left.sort_values(["importance", "feature"], ascending=[False, True])
    feeds = moved_feeds(left, origins)
    feed = next(iter(feeds), "")
    rests = f"inputs with {left['importance'].sum():.0%} of the model's gain moved"
    words = f"the applicants changed: {rests}, mostly through {feed or 'no known feed'}"
    return _cause("covariate", feed, words, left["feature"].tolist())


def moved_inputs(table: pd.DataFrame, limits: DriftLimits) -> list[str]:
    """Name the inputs that drifted, and those that moved beyond chance though not as far as the policy's limit."""
    beyond = table["statistic"] - table["expected_psi"] >= LEFT_OVER
    moved = table["drifted"] | (beyond & (table["evidence"] <= limits.false_discovery_rate))
    return table.loc[moved & ~table["feature"].isin(OUTCOMES), "feature"].tolist()


@dataclass(frozen=True)
class Shift:
    """What the scores say if nothing but the default rate had changed.

    Attributes
    ----------
    ratio
        The default rate now over that of the training, with its interval of 99.9 %.
    rate, change
        The default rate of the training, and what came to it.
    large
        Whether the ratio passes the policy's limit beyond chance.
    alike
        Whether the scores moved as they would by this alone.
    """

    ratio: Interval
    rate: float
    change: float
    large: bool
    alike: bool

    def undo(self, pds: Numbers) -> Numbers:
        """Return the weights, (n,), that make applicants of today those of the training, if only the default rate had changed."""
        leaning = (pds - self.rate) / (self.rate * (1 - self.rate))
        return 1 / np.maximum(1 + self.change * leaning, SMALLEST_FACTOR)


def prior_shift(reference: Reference, pds: Numbers, limits: DriftLimits) -> Shift | None:
    """Estimate the default rate from scores alone; None where nothing can be said.

    Parameters
    ----------
    reference
        The bundle's.
    pds : (n,)
        What the model says now.

    Notes
    -----
    If only the default rate π changed by δ, the share of each bin of scores changes by the factor 1 + δ (s − π) / (π (1 − π)), where s is
    the mean PD of the bin: the scores are calibrated. The estimate of δ is the moment that this implies.

    References
    ----------
    Saerens, Latinne, Decaestecker (2002), Neural Computation 14.
    """
    if reference.scores is None or not len(pds):
        return None
    known = reference.scores.pds
    mean_pds, before, after = _by_tenth(known, pds)
    p, q = before / before.sum(), after / after.sum()
    rate = float(p @ mean_pds)
    if not 0 < rate < 1:
        return None
    leaning = (mean_pds - rate) / (rate * (1 - rate))
    information = float(p @ leaning**2)
    if information == 0:
        return None
    change = float(q @ leaning) / information
    error = math.sqrt((1 / after.sum() + 1 / before.sum()) / information)
    ratio = Interval(*(1 + (change + side * error) / rate for side in (0, -CONFIDENT, CONFIDENT)))
    expected = np.maximum(p * (1 + change * leaning), 0) * after.sum()
    unexplained = stability_index(expected, after) - len(p) / after.sum()
    far = ratio.value >= limits.prior_ratio_alert or ratio.value <= 1 / limits.prior_ratio_alert
    return Shift(ratio, rate, change, far and not ratio.low <= 1 <= ratio.high, unexplained <= UNLIKE)


def prior(shift: Shift | None) -> Cause | None:
    """Name another default rate, where the scores moved as it would move them."""
    if shift is None or not (shift.large and shift.alike):
        return None
    ratio = shift.ratio
    times = f"{ratio.value:.2g} times as frequent ({ratio.low:.2g} to {ratio.high:.2g})"
    return _cause("prior", "score", f"the scores moved as if defaults were {times} and nothing else had changed", [])


def concept(pds: Numbers, outcomes: NDArray[np.int64], ratio: Interval | None, limits: DriftLimits) -> Cause | None:
    """Name a change of what defaults, from applicants whose outcome is known.

    Parameters
    ----------
    pds, outcomes : (n,)
        Of the applicants with an outcome.
    ratio
        What the scores alone say of the default rate: a change they show is one of who applies.
    """
    expected, observed = float(pds.sum()), float(outcomes.sum())
    if len(pds) < limits.minimum_rows or not 0 < expected < len(pds):
        return None
    error = math.sqrt(float((pds * (1 - pds)).sum())) / expected
    found = Interval(
        observed / expected, observed / expected - CONFIDENT * error, observed / expected + CONFIDENT * error
    )
    large = found.value >= limits.prior_ratio_alert or found.value <= 1 / limits.prior_ratio_alert
    if not large or found.low <= 1 <= found.high:
        return None
    if ratio is not None and ratio.low <= found.value <= ratio.high and not ratio.low <= 1 <= ratio.high:
        return None
    words = f"like applicants default {found.value:.2g} times as often as the model says ({found.low:.2g} to {found.high:.2g})"
    return _cause("concept", "score", words, [])


def attribution_moved(found: Attribution | None, limits: DriftLimits) -> Cause | None:
    """Name a change of what decides: features contribute in another order than they did."""
    if found is None or found.rank_agreement >= limits.rank_agreement_alert:
        return None
    moved = found.table.sort_values(["psi", "feature"], ascending=[False, True])["feature"].tolist()
    words = f"other features decide: the ranks of their contributions agree to {found.rank_agreement:.2f} with the reference"
    return _cause("attribution", "score", words, moved)


def mixture(found: Domain | None, limits: DriftLimits) -> Cause | None:
    """Name a change of how inputs go together, which no single one of them shows."""
    if found is None or found.auc.low < limits.domain_auc_alert:
        return None
    words = f"the applicants are told from the reference with an AUC of {found.auc.value:.2f} ({found.auc.low:.2f} to {found.auc.high:.2f})"
    return _cause("mixture", "score", words, list(found.contributors))


def scale_factor(reference: NumberReference, values: Numbers) -> float | None:
    """Find the unit factor by which all quantiles of a number changed, or None.

    Parameters
    ----------
    reference
        What it was.
    values : (n,)
        What it is, none missing.

    Examples
    --------
    >>> from creditrisk_assets.modelling.reference import number_reference
    >>> years = np.linspace(20, 70, 500)
    >>> scale_factor(number_reference(years), years * 365.25), scale_factor(number_reference(years), years + 5)
    (365.25, None)
    """
    shares = np.cumsum(reference.counts)[:-1:2] / max(1, sum(reference.counts)) if reference.counts else np.empty(0)
    edges = np.array(reference.edges)
    usable = np.abs(edges) > 1e-12
    if usable.sum() < 3 or len(values) < 100:
        return None
    now = np.quantile(values, np.clip(shares[usable], 0, 1))
    ratios = now / edges[usable]
    if (ratios <= 0).any():
        return None
    logs = np.log(ratios)
    middle = float(np.median(logs))
    signed = [sign * math.log(factor) for factor in FACTORS for sign in (1, -1)]
    nearest = min(signed, key=lambda known: abs(known - middle))
    if abs(nearest - middle) > FACTOR_TOLERANCE or float(np.ptp(logs)) > 2 * FACTOR_TOLERANCE:
        return None
    factor = min((f for f in FACTORS), key=lambda known: abs(math.log(known) - abs(middle)))
    return float(factor) if middle > 0 else 1 / factor


def moved_feeds(drifted: pd.DataFrame, origins: Mapping[str, Origins]) -> dict[str, float]:
    """Sum the importance of drifted inputs by the raw tables they are made from, largest first."""
    found: dict[str, float] = {}
    for name, importance in zip(drifted["feature"], drifted["importance"], strict=True):
        for table in sorted({table for table, _ in origins.get(name, ())}):
            found[table] = found.get(table, 0.0) + float(importance)
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _by_tenth(reference: NumberReference, pds: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Return the mean PD and the applicants before and now, tenth by tenth of the reference."""
    edges = np.array(reference.edges)
    places = np.searchsorted(edges, pds, "right")
    size = len(edges) + 1
    sums, numbers = np.bincount(places, pds, size), np.bincount(places, minlength=size)
    counted = np.array(reference.counts, dtype=np.float64)
    before = counted[0::2] + np.concatenate([[0.0], counted[1::2]])
    after = numbers.astype(np.float64)
    ends = np.array([reference.minimum, *reference.edges, reference.maximum], dtype=np.float64)
    middles = (ends[:-1] + ends[1:]) / 2
    means = np.where(numbers > 0, sums / np.maximum(numbers, 1), middles)
    return means, before, after


def _by_table(names: Sequence[str], origins: Mapping[str, Origins]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        for table in {table for table, _ in origins.get(name, ())}:
            found.setdefault(table, []).append(name)
    return found


def _by_column(names: Sequence[str], origins: Mapping[str, Origins]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        for table, column in origins.get(name, ()):
            found.setdefault(f"{table}.{column}", []).append(name)
    return found


def _explaining(
    moved: Sequence[str], made_from: Mapping[str, Sequence[str]], least: float = EXPLAINED_SHARE
) -> list[tuple[str, list[str]]]:
    """Find the few origins that explain what moved: the one with most of it first, then of what is left."""
    left, found = list(moved), []
    while left:
        hits = {origin: [name for name in left if name in set(members)] for origin, members in made_from.items()}
        shares = {origin: len(names) / len(made_from[origin]) for origin, names in hits.items()}
        able = [origin for origin, names in hits.items() if names and shares[origin] >= least]
        if not able:
            break
        best = min(able, key=lambda origin: (-len(hits[origin]), -shares[origin], origin))
        found.append((best, hits[best]))
        left = [name for name in left if name not in set(hits[best])]
    return found


def _explains(lost: Sequence[str], made: Sequence[str]) -> bool:
    return len(lost) >= EXPLAINED_SHARE * len(made)


def _covered(causes: Sequence[Cause]) -> set[str]:
    return {name for cause in causes for name in cause.features}


def _cause(kind: CauseKind, subject: str, words: str, features: Sequence[str]) -> Cause:
    return Cause(kind, subject, words, tuple(features))
