"""Whether other features decide than did: contributions and first reasons of bounded samples.

What belongs here: comparing contributions with those of the reference. What does not: computing them (`modelling.explanation`), the
texts of reasons (`modelling.explanation.reasons`).

The contributions are those reasons are made of: against applicants just approved. A bundle without an explainer has none.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from creditrisk_assets.modelling.bundle import Bundle
from creditrisk_assets.modelling.explanation.reasons import group_features
from creditrisk_assets.modelling.part_scores import encode_part
from creditrisk_assets.modelling.policy import Policy
from creditrisk_assets.modelling.reference import category_reference, number_reference
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.monitoring.drift.counting import CategoryCounts, count_numbers
from creditrisk_assets.monitoring.drift.effects import Effect, compare
from creditrisk_assets.monitoring.drift.report import REASON, Attribution, Column, Samples

RANKED_SHARE = 0.9  # of all contributions: the features below it change ranks by chance

Numbers = NDArray[np.float64]


def attribution(before: Numbers, now: Numbers, names: tuple[str, ...]) -> Attribution:
    """Compare contributions with those of the reference.

    Parameters
    ----------
    before, now : (applicants, features)
        Contributions to margins; one applicant at least on each side.
    names
        The features.
    """
    from scipy.stats import spearmanr  # noqa: PLC0415 - slow to import, for drift alone

    means = np.abs(before).mean(axis=0), np.abs(now).mean(axis=0)
    order = np.argsort(-means[0], kind="stable")
    weight = np.cumsum(means[0][order])
    ranked = order[: int(np.searchsorted(weight, RANKED_SHARE * weight[-1])) + 1]
    agreement = float(spearmanr(means[0][ranked], means[1][ranked]).statistic) if len(ranked) > 2 else 1.0
    effects = [_effect(before[:, place], now[:, place]) for place in ranked]
    table = pd.DataFrame(
        {
            "feature": [names[place] for place in ranked],
            "mean_before": means[0][ranked],
            "mean_now": means[1][ranked],
            "psi": [max(effect.psi - effect.expected_psi, 0.0) for effect in effects],
        }
    )
    return Attribution(len(now), 1.0 if np.isnan(agreement) else agreement, table)


def compare_contributions(bundle: Bundle, samples: Samples, rows: int, seed: int) -> Attribution | None:
    """Compare the contributions of some applicants of both samples; None where the bundle explains nothing or a side is empty."""
    sides = [_drawn(part, np.arange(len(part)), rows, seed) for part in (samples.reference, samples.current)]
    if bundle.explainer is None or not all(len(side) for side in sides):
        return None
    before, now = (bundle.explainer.all_contributions(encode_part(bundle, side)) for side in sides)
    return attribution(before, now, bundle.feature_names)


def compare_reasons(bundle: Bundle, samples: Samples, policy: Policy, rows: int, seed: int) -> Column | None:
    """Compare what speaks most against applicants who are not approved; None where there are none on a side."""
    if bundle.explainer is None:
        return None
    groups = group_features(bundle.feature_names)
    sides: list[list[str]] = []
    for part, pds in zip((samples.reference, samples.current), samples.scores, strict=True):
        adverse = _drawn(part, np.flatnonzero(pds >= policy.decisions.approve_below), rows, seed)
        if not len(adverse):
            return None
        sides.append(
            first_reasons(
                bundle.explainer.all_contributions(encode_part(bundle, adverse)), bundle.feature_names, groups
            )
        )
    reference, now = (category_reference(side) for side in sides)
    effect = compare(reference, CategoryCounts(now.rows, now.missing, now.counts))
    return Column(REASON, "model", reference.rows, now.rows, effect, 0.0)


def first_reasons(contributions: Numbers, names: tuple[str, ...], groups: dict[str, str]) -> list[str]:
    """Name the group of features that adds most to each applicant's margin.

    Examples
    --------
    >>> first_reasons(np.array([[0.1, 0.25, 0.2]]), ("a", "b", "c"), {"a": "x", "b": "y", "c": "x"})
    ['x']
    """
    found = sorted({groups[name] for name in names})
    places = {group: place for place, group in enumerate(found)}
    summed = np.zeros((len(contributions), len(found)))
    np.add.at(summed.T, [places[groups[name]] for name in names], contributions.T)
    return [found[place] for place in summed.argmax(axis=1)]


def _effect(before: Numbers, now: Numbers) -> Effect:
    return compare(
        number_reference(before.astype(np.float32)),
        count_numbers(number_reference(before.astype(np.float32)), now.astype(np.float32)),
    )


def _drawn(part: Part, among: NDArray[np.int64], rows: int, seed: int) -> Part:
    chosen = np.random.default_rng(seed).permutation(among)[:rows]
    return part.take(np.sort(chosen))
