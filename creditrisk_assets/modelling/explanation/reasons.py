"""Reasons: what each feature of a model is called when an applicant is told of it, and which features are told of together.

What belongs here: texts made of the contracts' descriptions, groups made of the grammar of feature names. What does not: how
much a feature contributed (`explainer`), the notice an applicant gets, policy rules (their reasons are in `policy.yaml`).

A feature's text is its own description, with the source it is known from: never the nearest of a list. Groups follow from names
alone, so they are fixed before anything is measured: one quantity of one family, over all its windows and parts of rows. A quantity of more
than 15 features is told of in up to four groups: its level, its extremes, its change, its latest and first rows.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from creditrisk_assets.features.families import FeatureSpec, applicant_features

LARGEST_GROUP = 15
State = Literal["above", "below", "yes", "no", "stated", "missing"]

SOURCES: Mapping[str, str] = {
    "applicant": "Your history with lenders",
    "application": "Your application",
    "bureau": "Your report from the credit bureau",
    "previous_application": "Your earlier applications to us",
    "installments": "Your payments of instalments to us",
    "credit_card": "Your credit cards with us",
    "pos_cash": "Your instalment loans with us",
}
# Features made of one another under names of their own: the first that fits names the group.
RELATED: Mapping[str, str] = {
    r"application__ext_.*_age_days$": "application__external_scores_with_age",
    r"application__ext_.*_employed_days$": "application__external_scores_with_employment",
    r"application__ext_.*_(?:difference|range|std)$": "application__external_scores_apart",
    r"application__ext_": "application__external_scores",
}
STATES: Mapping[str, Mapping[State, str]] = {
    "numeric": {
        "above": "higher than for applicants just approved",
        "below": "lower than for applicants just approved",
    },
    "boolean": {"yes": "this applies", "no": "this does not apply"},
    "category": {"stated": "what is stated"},
}
MISSING = "not known"

_RATIO_OF_WINDOWS = re.compile(r"_ratio_\d+[dm]_\d+[dm]$")
_PLACES = re.compile(r"_(?:last|first)_\d+(?:_loans)?$")
_WINDOW = re.compile(r"_(?:half_)?\d+[dm]$")
_CHANGE = re.compile(r"_(?:std|slope)$")
_EXTREME = re.compile(r"_(?:max|min)$")
_AGGREGATE = re.compile(r"_(?:mean|max|min|sum|avg|mode|medi|last|first)$")
_REMARKS = re.compile(r"\s*\([^)]*\)|;[^,]*")  # of descriptions: what NULL and signs mean, for those who compute


class ReasonError(ValueError):
    """A feature of the model cannot be told of; the message names it."""


@dataclass(frozen=True)
class Reason:
    """How a feature is told of."""

    feature: str
    group: str
    texts: Mapping[State, str]  # by what the applicant's value is


def catalogue(names: Sequence[str], specs: Sequence[FeatureSpec] | None = None) -> tuple[Reason, ...]:
    """Make the reasons of a model's features.

    Parameters
    ----------
    names
        The model's inputs.
    specs
        What features there are; None: all of the store.

    Returns
    -------
    tuple of Reason
        One per input, in their order.

    Raises
    ------
    ReasonError
        A feature has no description or no source in words, two would be told of by one text, or a group has more than 15 features.
    """
    known = {spec.name: spec for spec in (applicant_features() if specs is None else specs)}
    if strangers := [name for name in names if name not in known]:
        raise ReasonError(
            f"{len(strangers)} inputs have no declaration, among them {', '.join(strangers[:3])}; declare them in their contract"
        )
    groups = group_features(tuple(known))
    reasons = tuple(Reason(name, groups[name], _texts(known[name])) for name in names)
    _check_texts(reasons)
    return reasons


def group_features(names: Sequence[str]) -> dict[str, str]:
    """Group features by the quantity they are of: feature -> group.

    Parameters
    ----------
    names
        All features of the store: a group does not change when a model uses fewer.

    Raises
    ------
    ReasonError
        A group has more than 15 features.

    Examples
    --------
    >>> group_features(["bureau__debt_amt_sum", "bureau__debt_amt_max_365d"])
    {'bureau__debt_amt_sum': 'bureau__debt_amt', 'bureau__debt_amt_max_365d': 'bureau__debt_amt'}
    """
    by_quantity: dict[str, list[str]] = defaultdict(list)
    for name in names:
        by_quantity[_quantity(name)].append(name)
    found = {}
    sizes: dict[str, int] = defaultdict(int)
    for quantity, members in by_quantity.items():
        for name in members:
            group = quantity if len(members) <= LARGEST_GROUP else f"{quantity}_{_view(name)}"
            found[name] = group
            sizes[group] += 1
    if large := [group for group, size in sizes.items() if size > LARGEST_GROUP]:
        raise ReasonError(
            f"groups of more than {LARGEST_GROUP} features: {', '.join(large)}; part their quantity in `reasons`"
        )
    return found


def _quantity(name: str) -> str:
    for pattern, group in RELATED.items():
        if re.match(pattern, name):
            return group
    stripped = _WINDOW.sub("", _PLACES.sub("", _RATIO_OF_WINDOWS.sub("", name)))
    return _AGGREGATE.sub("", _CHANGE.sub("", stripped))


def _view(name: str) -> str:
    if _PLACES.search(name):
        return "latest_and_first"
    if _EXTREME.search(_WINDOW.sub("", name)):
        return "extremes"
    if _RATIO_OF_WINDOWS.search(name) or _CHANGE.search(_WINDOW.sub("", name)):
        return "change"
    return "level"


def _texts(spec: FeatureSpec) -> Mapping[State, str]:
    subject, source = _REMARKS.sub("", spec.description).strip(), SOURCES.get(spec.family)
    if not subject or source is None:
        raise ReasonError(
            f"{spec.name} has no description, or its family {spec.family} no source in words; write it in its contract or in `reasons`"
        )
    said = f"{source}: {subject[0].lower()}{subject[1:]}"
    return {state: f"{said}: {words}" for state, words in (*STATES[spec.kind].items(), ("missing", MISSING))}


def _check_texts(reasons: Sequence[Reason]) -> None:
    seen: dict[str, str] = {}
    for reason in reasons:
        text = reason.texts["missing"]
        if text in seen:
            raise ReasonError(
                f"{seen[text]} and {reason.feature} would be told of by one text; say in their contract how they differ"
            )
        seen[text] = reason.feature
