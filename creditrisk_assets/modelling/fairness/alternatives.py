"""Whether a less discriminatory model was to be had: AUC against impact ratio over a bounded family of alternatives.

What belongs here: fitting the alternatives, measuring them on applicants they have not seen, the frontier. What does not: which inputs
stand for an attribute (`proxies`), limits (`judging`).

The family: the model without its 1, 2, 4, 8 groups of inputs that stand most for an attribute, without each of the
first 4 alone, without the monotone constraints on one quantity after another (at most 6), without all of them, without
all of them and 4 groups, and the model with other cut-offs: at most 16 fits. All are fitted alike on one half of a
sample of the training part, with the strongest inputs alone and the model's constraints, and measured on the other
half. With other inputs or constraints an alternative approves as many as the model does, so that it is compared at one
approval rate; a cut-off approves as many as it does. The model in use is measured beside them out of fold: it saw more
applicants and more inputs, so it is compared with none of them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from creditrisk_assets.modelling.auc import auc_interval
from creditrisk_assets.modelling.evaluation import wilson
from creditrisk_assets.modelling.explanation.reasons import group_features
from creditrisk_assets.modelling.fairness.groups import Grouping
from creditrisk_assets.modelling.fairness.measures import impact_ratio
from creditrisk_assets.modelling.fairness.proxies import InputGroup

APPLICANTS = 24_000  # drawn from the training part: half to fit on, half to measure on
INPUTS = 150  # of largest gain
TREES = 120
WITHOUT = (1, 2, 4, 8)  # groups that stand most for an attribute, together
ALONE = 4  # of them, each left out alone
FREED = 6  # constrained quantities of largest gain, each without its constraint
CUT_OFFS = (0.5, 0.7, 1.3, 1.6)  # times the one in force
IN_USE, LIKE_IT = "the model in use", "the same inputs"
OTHERWISE = ("inputs", "constraints")  # kinds that are fitted, and compared at one approval rate
COLUMNS = (
    "alternative", "kind", "without", "freed", "inputs", "applicants", "auc", "auc_low", "auc_high", "approval_rate", "bad_rate",
    "bad_rate_low", "bad_rate_high", "impact_ratio", "impact_ratio_low", "impact_ratio_high", "worst_group", "on_frontier", "chosen",
    "better",
)  # fmt: skip

Outcomes = NDArray[np.int64]
Numbers = NDArray[np.float64]
Matrix = NDArray[np.float32]
Fit = Callable[
    [Matrix, Outcomes, Matrix, Sequence[int], Sequence[int]], Numbers
]  # fitted on, outcomes, scored, columns, their signs -> scores


@dataclass(frozen=True)
class Sample:
    """Applicants the alternatives are fitted and measured on; all (n,) or (n, inputs)."""

    matrix: Matrix
    names: tuple[str, ...]  # of the columns
    target: Outcomes
    pds: Numbers  # of the model in use, out of fold
    groupings: tuple[Grouping, ...]
    inputs_in_use: int  # of the model in use, which has more than the columns
    signs: tuple[int, ...] = ()  # of the columns: which way the PD may move with each; none: no constraints


@dataclass(frozen=True)
class Alternative:
    """A model that is fitted: which groups of inputs it goes without, and on which its PD may move either way."""

    name: str
    kind: str
    without: tuple[str, ...] = ()  # groups
    left_out: frozenset[str] = frozenset()  # their inputs
    freed: tuple[str, ...] = ()  # quantities
    unbound: frozenset[str] = frozenset()  # their inputs


@dataclass(frozen=True)
class Rules:
    """What counts as a better alternative, and how large a group must be."""

    minimum_applicants: int
    approve_below: float
    maximum_auc_loss: float
    least_gain: float  # of the impact ratio


def most_proxied(proxies: pd.DataFrame, groups: Sequence[InputGroup]) -> tuple[InputGroup, ...]:
    """Order the groups of inputs by how well each tells the attribute it tells best."""
    known = {group.name: group for group in groups if group.kind == "group"}
    best = proxies[proxies["kind"] == "group"].groupby("input_group")["auc"].max()
    return tuple(known[name] for name in sorted(best.index, key=lambda name: (-best[name], name)))


def frontier(sample: Sample, ranked: Sequence[InputGroup], rules: Rules, fit: Fit, *, seed: int) -> pd.DataFrame:
    """Fit and measure the family of alternatives.

    Parameters
    ----------
    sample
        Applicants.
    ranked
        Groups of inputs, those that stand most for an attribute first.
    rules
        Limits.
    fit
        Fits a model on some columns and scores other applicants.
    seed
        Of the halves.

    Returns
    -------
    DataFrame
        One row per alternative, the model in use first. `impact_ratio` is that of the worst judged group.
    """
    halves = np.random.default_rng(seed).permutation(len(sample.target)) % 2
    fitted, measured = np.flatnonzero(halves == 0), np.flatnonzero(halves == 1)
    approved = float((sample.pds[measured] < rules.approve_below).mean())

    def scores(one: Alternative) -> Numbers:
        kept = [i for i, name in enumerate(sample.names) if name not in one.left_out]
        signs = sample.signs or (0,) * len(sample.names)
        bound = [0 if sample.names[i] in one.unbound else signs[i] for i in kept]
        return fit(sample.matrix[fitted], sample.target[fitted], sample.matrix[measured], kept, bound)

    measure = _Measured(sample, measured, rules)
    like = Alternative(LIKE_IT, "inputs")
    full = scores(like)
    rows = [
        measure.row(Alternative(IN_USE, "in use"), sample.pds[measured], approved),
        measure.row(like, full, approved),
    ]
    for share in CUT_OFFS:
        rate = float((sample.pds[measured] < share * rules.approve_below).mean())
        rows.append(measure.row(Alternative(f"cut-off × {share:g}", "cut-off"), full, rate))
    rows += [
        measure.row(one, scores(one), approved)
        for one in candidates(sample, ranked)
        if set(sample.names) - one.left_out
    ]
    return _judged(pd.DataFrame(rows), rules)


def candidates(sample: Sample, ranked: Sequence[InputGroup]) -> Iterator[Alternative]:
    """List what is fitted beside the same inputs: at most 4 + 3 + 6 + 2 models."""

    def without(groups: Sequence[InputGroup]) -> Alternative:
        name = f"without {groups[0].name}" if len(groups) == 1 else f"without {len(groups)} proxies"
        members = frozenset(member for group in groups for member in group.members)
        return Alternative(name, "inputs", tuple(group.name for group in groups), members)

    yield from (without(ranked[:count]) for count in WITHOUT if count <= len(ranked))
    yield from (without([group]) for group in ranked[1:ALONE])  # the first alone is the first together
    bound = _constrained(sample)
    for quantity in list(bound)[:FREED] if len(bound) > 1 else ():
        yield Alternative(f"free in {quantity}", "constraints", freed=(quantity,), unbound=frozenset(bound[quantity]))
    if bound:
        every = frozenset(name for names in bound.values() for name in names)
        free = Alternative("without constraints", "constraints", freed=tuple(bound), unbound=every)
        yield free
        if len(ranked) >= ALONE:
            less = without(ranked[:ALONE])
            yield replace(
                free, name=f"without constraints and {ALONE} proxies", without=less.without, left_out=less.left_out
            )


def _constrained(sample: Sample) -> dict[str, list[str]]:
    """Find the constrained columns by quantity, in their order: the largest gain first."""
    quantity, found = group_features(sample.names), defaultdict(list)
    for name, sign in zip(sample.names, sample.signs, strict=False):
        if sign:
            found[quantity[name]].append(name)
    return dict(found)


@dataclass(frozen=True)
class _Measured:
    """The applicants that every alternative is measured on."""

    sample: Sample
    rows: NDArray[np.int64]
    rules: Rules

    def row(self, one: Alternative, scores: Numbers, approval_rate: float) -> dict[str, Any]:
        """Measure one alternative that approves a share of them, those with the lowest scores."""
        target = self.sample.target[self.rows]
        auc = auc_interval(target, scores)
        favoured = np.zeros(len(scores), dtype=np.bool_)
        favoured[np.argsort(scores, kind="stable")[: round(approval_rate * len(scores))]] = True
        hits, n = int(target[favoured].sum()), int(favoured.sum())
        low, high = wilson(hits, n) if n else (0.0, 1.0)
        found: dict[str, Any] = {
            "alternative": one.name,
            "kind": one.kind,
            "without": ", ".join(one.without),
            "freed": ", ".join(one.freed),
            "inputs": self.sample.inputs_in_use if one.name == IN_USE else len(set(self.sample.names) - one.left_out),
            "applicants": len(scores),
            "auc": auc.value, "auc_low": auc.low, "auc_high": auc.high,
            "approval_rate": n / len(scores),
            "bad_rate": hits / n if n else 0.0, "bad_rate_low": low, "bad_rate_high": high,
        }  # fmt: skip
        return found | _worst(self.sample.groupings, self.rows, favoured, self.rules.minimum_applicants)


def _worst(
    groupings: Sequence[Grouping], measured: NDArray[np.int64], favoured: NDArray[np.bool_], minimum: int
) -> dict[str, Any]:
    """Find the judged group with the lowest impact ratio."""
    ratios = []
    for grouping in groupings:
        for name in grouping.judged:
            inside = grouping.of(name)[measured]
            other = grouping.compared_with(name)[measured] & ~inside
            if min(inside.sum(), other.sum()) >= minimum:
                ratios.append((impact_ratio(favoured[inside], favoured[other]), f"{grouping.attribute}: {name}"))
    if not ratios:
        return {"worst_group": "insufficient"}
    ratio, group = min(ratios, key=lambda pair: pair[0].value)
    return {
        "impact_ratio": ratio.value,
        "impact_ratio_low": ratio.low,
        "impact_ratio_high": ratio.high,
        "worst_group": group,
    }


def _judged(table: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """Mark the frontier, the model in use, and alternatives that are better than it would be if fitted like them."""
    table = table.reindex(columns=list(COLUMNS))
    family = table["kind"].isin(OTHERWISE) & table["impact_ratio"].notna()
    like = table[table["alternative"] == LIKE_IT].iloc[0]
    table["chosen"] = table["kind"] == "in use"
    table["on_frontier"] = [
        bool(inside) and not _beaten(row, table[family])
        for inside, (_, row) in zip(family, table.iterrows(), strict=True)
    ]
    table["better"] = (
        family
        & table["auc"].ge(like["auc"] - rules.maximum_auc_loss)
        & (table["impact_ratio"] - like["impact_ratio"]).ge(rules.least_gain).fillna(False)
    )
    texts = dict.fromkeys(("alternative", "kind", "without", "freed", "worst_group"), "string")
    flags = dict.fromkeys(("on_frontier", "chosen", "better"), "bool")
    counts = dict.fromkeys(("inputs", "applicants"), "int64")
    floats = {name: "float64" for name in COLUMNS if name not in {*texts, *flags, *counts}}
    return table.astype({**texts, **flags, **counts, **floats})


def _beaten(row: "pd.Series[Any]", others: pd.DataFrame) -> bool:
    """Tell whether another is as good in both and better in one."""
    as_good = others["auc"].ge(row["auc"]) & others["impact_ratio"].ge(row["impact_ratio"])
    better = others["auc"].gt(row["auc"]) | others["impact_ratio"].gt(row["impact_ratio"])
    return bool((as_good & better).any())


def learner(parameters: Mapping[str, Any], *, seed: int, threads: int, trees: int = TREES) -> Fit:
    """Return what fits an alternative: LightGBM under the model's own parameters, with a fixed number of trees.

    Parameters
    ----------
    parameters
        As in the model's configuration.
    seed, threads, trees
        Of LightGBM.
    """

    def fit(known: Matrix, target: Outcomes, held_out: Matrix, columns: Sequence[int], signs: Sequence[int]) -> Numbers:
        import lightgbm as lgb  # noqa: PLC0415 - slow to import

        own = {
            **parameters, "objective": "binary", "verbosity": -1, "num_threads": threads, "seed": seed, "deterministic": True,
            "force_col_wise": True, "feature_pre_filter": False,
            "min_child_samples": min(int(parameters.get("min_child_samples", 20)), max(1, len(known) // 50)),
        }  # fmt: skip
        if any(signs):
            own["monotone_constraints"] = list(signs)
        data = lgb.Dataset(np.ascontiguousarray(known[:, columns]), label=target, params=own)
        booster = lgb.train(own, data, num_boost_round=trees)
        return np.asarray(
            booster.predict(np.ascontiguousarray(held_out[:, columns]), num_threads=threads), dtype=np.float64
        )

    return fit
