"""Fidelity of reasons: whether what a declined applicant is told is what the model declined for.

What belongs here: exchanging groups for reference applicants' values and scoring again, the rivals of the ranking, the mix of codes. What
does not: ranking itself (`principal`), who is looked at and what a figure must reach (`defs.reasons`). No outcome is looked at.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from creditrisk_assets.modelling.auc import LEVEL, Interval
from creditrisk_assets.modelling.bundle import Bundle
from creditrisk_assets.modelling.explanation.explainer import Explainer, ExplanationError
from creditrisk_assets.modelling.explanation.principal import MOST, ReasonBook, largest

COMPARED = 32  # reference applicants whose values are put in: every eighth
RANKED = 100  # applicants scored again without one group after another
GROUPS = 15  # of each of them: those of the largest contributions of either sign
ROWS = 4096  # scored at once
EVERY, DISCLOSED, RANDOM, PATHS = "every adverse group", "four disclosed", "four random adverse", "four by tree paths"

Rows = NDArray[np.float32]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Flips:
    """What exchanging some groups for reference values does to declined applicants."""

    exchanged: str
    approved: float  # share whose PD falls below the cut-off of approvals
    no_longer_declined: float  # share whose PD falls below that of declines
    margin_taken_off: float  # mean over applicants: what counts where as many flip


@dataclass(frozen=True)
class Fidelity:
    """How true the reasons of some declined applicants are."""

    applicants: int
    references: int
    additivity_gap: float | None  # largest; None: nobody was declined
    flips: tuple[Flips, ...]
    beyond_paths: (
        Interval | None
    )  # mean margin the four disclosed groups take off beyond the four by tree paths; None: of one or none
    rank_agreement: float | None  # mean over applicants of Spearman's correlation with leave-one-group-out rescoring
    mix: tuple[Mapping[str, Any], ...]  # code, group, applicants, share: of those told of it, the commonest first

    def rate(self, exchanged: str) -> Flips:
        """Return the flips of one exchange."""
        return next(one for one in self.flips if one.exchanged == exchanged)

    def facts(self) -> dict[str, Any]:
        """Render as JSON values."""
        return asdict(self)


def measure_fidelity(bundle: Bundle, rows: Rows, references: Rows, by_paths: Numbers, *, seed: int = 0) -> Fidelity:
    """Measure the reasons of declined applicants.

    Parameters
    ----------
    bundle
        The model, with explainer and reasons.
    rows
        (n, inputs) declined applicants as the model sees them; none is an answer too.
    references
        (m, inputs) the reference applicants.
    by_paths
        (n, inputs) contributions of the rival ranking, `path_dependent`.
    seed
        Of the random groups.

    Raises
    ------
    ExplanationError
        The bundle was made without an explainer or reasons, or contributions do not add up to a margin.
    """
    if bundle.explainer is None or bundle.reasons is None:
        raise ExplanationError(
            "this bundle explains nothing; train the version again (`creditrisk run --select model/pd`)"
        )
    book, some = bundle.reasons, references[:: max(1, len(references) // COMPARED)]
    if not len(rows):
        return Fidelity(0, len(some), None, (), None, None, ())
    contributions = bundle.explainer.all_contributions(rows.astype(np.float64))
    gap = _gap(bundle, bundle.explainer, rows, contributions)
    sums = _summed(book, contributions)
    random = np.random.default_rng(seed)
    chosen = {
        EVERY: sums > 0,
        DISCLOSED: _few(sums),
        RANDOM: _few(np.where(sums > 0, random.random(sums.shape), 0)),
        PATHS: _few(_summed(book, by_paths)),
    }
    margins = {name: exchanged_margins(bundle, rows, some, groups) for name, groups in chosen.items()}
    now = bundle.booster.margins(rows)
    flips = tuple(_flips(bundle, name, now, left) for name, left in margins.items())
    beyond = _mean(margins[PATHS] - margins[DISCLOSED])
    agreement, mix = _rank_agreement(bundle, rows, some, sums), _mix(book, chosen[DISCLOSED])
    return Fidelity(len(rows), len(some), gap, flips, beyond, agreement, mix)


def path_dependent(model_text: str, rows: Rows) -> Numbers:
    """Compute LightGBM's own contributions, which compare with the training rows of each leaf: (n, inputs)."""
    if not len(rows):
        return np.zeros(rows.shape)
    import lightgbm  # noqa: PLC0415 - the one function here that needs it

    found: Numbers = np.asarray(lightgbm.Booster(model_str=model_text).predict(rows, pred_contrib=True, num_threads=1))
    return found[:, :-1]


def exchanged_margins(bundle: Bundle, rows: Rows, references: Rows, groups: NDArray[np.bool_]) -> Numbers:
    """Compute the mean margin of applicants with the values of reference applicants in some groups.

    Parameters
    ----------
    rows : (n, inputs)
    references : (m, inputs)
    groups : (n, groups)
        Which are exchanged, of each applicant.
    """
    if bundle.reasons is None:
        raise ExplanationError("this bundle has no groups of inputs")
    inputs, found = groups[:, bundle.reasons.places], np.empty(len(rows))
    step = max(1, ROWS // len(references))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        mixed = np.where(inputs[part, None, :], references[None], rows[part, None, :])
        margins = bundle.booster.margins(mixed.reshape(-1, rows.shape[1]))
        found[part] = margins.reshape(-1, len(references)).mean(axis=1)
    return found


def _gap(bundle: Bundle, explainer: Explainer, rows: Rows, contributions: Numbers) -> float:
    margins = bundle.booster.margins(rows)
    for one, margin in zip(contributions, margins.tolist(), strict=True):
        explainer.check(one, margin)
    return float(np.abs(contributions.sum(axis=1) + explainer.base - margins).max())


def _summed(book: ReasonBook, contributions: Numbers) -> Numbers:
    return np.array([book.sums(one) for one in contributions])


def _few(sums: Numbers) -> NDArray[np.bool_]:
    """Choose the groups of the largest sums above 0 of each applicant, as many as are disclosed."""
    chosen = np.zeros(sums.shape, dtype=np.bool_)
    for row, one in zip(chosen, sums, strict=True):
        row[largest(one, MOST)] = True
    return chosen


def _flips(bundle: Bundle, exchanged: str, now: Numbers, margins: Numbers) -> Flips:
    pds, limits = bundle.calibrator.pds(margins), bundle.policy.decisions
    approved, freed = float((pds < limits.approve_below).mean()), float((pds < limits.decline_from).mean())
    return Flips(exchanged, approved, freed, float((now - margins).mean()))


def _mean(values: Numbers) -> Interval | None:
    """Return the mean of paired differences with its 95 % interval."""
    if len(values) < 2:
        return None
    mean = float(values.mean())
    reach = float(scipy.special.ndtri(0.5 + LEVEL / 2) * values.std(ddof=1) / len(values) ** 0.5)
    return Interval(mean, mean - reach, mean + reach)


def _rank_agreement(bundle: Bundle, rows: Rows, references: Rows, sums: Numbers) -> float | None:
    """Compare the order of contributions with that of what scoring without each group takes off the margin."""
    from scipy.stats import spearmanr  # noqa: PLC0415 - slow to import

    found = []
    for row, mine in zip(rows[:RANKED], sums, strict=False):
        groups = np.argsort(-np.abs(mine), kind="stable")[:GROUPS]
        groups = groups[mine[groups] != 0]
        if len(groups) > 1:
            alone = np.zeros((len(groups), len(mine)), dtype=np.bool_)
            alone[np.arange(len(groups)), groups] = True
            without = exchanged_margins(bundle, np.repeat(row[None], len(groups), axis=0), references, alone)
            if (agreed := float(spearmanr(mine[groups], -without).statistic)) == agreed:
                found.append(agreed)
    return float(np.mean(found)) if found else None


def _mix(book: ReasonBook, disclosed: NDArray[np.bool_]) -> tuple[Mapping[str, Any], ...]:
    told: Sequence[str] = [book.groups[place] for place in np.nonzero(disclosed)[1].tolist()]
    return tuple(
        {"code": book.codes[group], "group": group, "applicants": count, "share": count / len(disclosed)}
        for group, count in Counter(sorted(told)).most_common()
    )
