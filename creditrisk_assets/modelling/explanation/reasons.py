"""Reasons: what each feature of a model is called when an applicant is told of it, and which features are told of together.

What belongs here: texts made of the contracts' descriptions, groups made of the grammar of feature names. What does not: how
much a feature contributed (`explainer`), the notice an applicant gets, policy rules (their reasons are in `policy.yaml`).

A feature's text is its own description, with the source it is known from: never the nearest of a list. Groups follow from names
alone, so they are fixed before anything is measured: one quantity of one family, over all its windows and parts of rows. A quantity of more
than 15 features is told of in up to four groups: its level, its extremes, its change, its latest and first rows.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from creditrisk_assets.features.families import FeatureSpec, applicant_features
from creditrisk_assets.modelling.explanation.principal import LARGEST_GROUP, BookError, ReasonBook, Telling
from creditrisk_assets.modelling.explanation.words import say

SOURCES: Mapping[str, str] = {
    "applicant": "Your history with lenders",
    "application": "Your application",
    "bureau": "Your report from the credit bureau",
    "previous_application": "Your earlier applications to us",
    "installments": "Your payments of instalments to us",
    "credit_card": "Your credit cards with us",
    "pos_cash": "Your instalment loans with us",
}
SCORES, OF_SCORES = "Scores from credit agencies", "external score"  # how descriptions call them
# Features made of one another under names of their own: the first that fits names the group.
RELATED: Mapping[str, str] = {
    r"application__(?:ext_missing_count|has_ext_\d_score)$": "application__external_scores_known",
    r"application__(?:ext_.*_age_days|age_per_ext_.*)$": "application__external_scores_with_age",
    r"application__(?:ext_.*_employed_days|employed_per_ext_.*)$": "application__external_scores_with_employment",
    r"application__ext_.*_(?:difference|range|std)$": "application__external_scores_apart",
    r"application__ext_": "application__external_scores",
    r"application__.*_ext_(?:\d|mean)_ratio$": "application__external_scores_with_loan",
}
WORDS: Mapping[str, str] = {
    "above": "higher than for applicants just approved",
    "below": "lower than for applicants just approved",
    "level": "as for applicants just approved, but weighing against you together with your other details",
    "alone": "known, as it is not for applicants just approved",
    "yes": "this applies",
    "no": "this does not apply",
    "stated": "what is stated",
    "missing": "not known to us",
}
LETTERS: Mapping[str, str] = {
    "applicant": "HIS",
    "application": "APP",
    "bureau": "BUR",
    "previous_application": "PRE",
    "installments": "INS",
    "credit_card": "CRD",
    "pos_cash": "POS",
}
VALUES: Mapping[str, str] = {
    "category": "category",
    "count": "count",
    "currency": "amount",
    "days": "days",
    "months": "months",
    "ratio": "ratio",
    "share": "share",
}

_RATIO_OF_WINDOWS = re.compile(r"_ratio_\d+[dm]_\d+[dm]$")
_PLACES = re.compile(r"_(?:last|first)_\d+(?:_loans)?$")
_WINDOW = re.compile(r"_(?:half_)?\d+[dm]$")
_CHANGE = re.compile(r"_(?:std|slope)$")
_EXTREME = re.compile(r"_(?:max|min)$")
_AGGREGATE = re.compile(r"_(?:mean|max|min|sum|avg|mode|medi|last|first)$")
_FORMULA = re.compile(
    r"external score|normalised| times | less |per .* per "
)  # in descriptions: a number that says nothing to a person


class ReasonError(ValueError):
    """A feature of the model cannot be told of; the message names it."""


def catalogue(names: Sequence[str], specs: Sequence[FeatureSpec] | None = None) -> ReasonBook:
    """Make the book of reasons of a model's features, as yet without the reference applicants.

    Parameters
    ----------
    names
        The model's inputs.
    specs
        What features there are; None: all of the store.

    Raises
    ------
    ReasonError
        A feature has no declaration, no description or no source in words, two would be told of by one text, or a group has more than 15
        features.
    """
    known = {spec.name: spec for spec in (applicant_features() if specs is None else specs)}
    if strangers := [name for name in names if name not in known]:
        raise ReasonError(
            f"{len(strangers)} inputs have no declaration, among them {', '.join(strangers[:3])}; declare them in their contract"
        )
    groups = group_features(tuple(known))
    tellings = tuple(
        Telling(name, groups[name], known[name].kind, _said(known[name]), _value(known[name])) for name in names
    )
    book = ReasonBook(tellings, {group: code_of(group) for group in {one.group for one in tellings}}, WORDS)
    try:
        book.require(names)
    except BookError as error:
        raise ReasonError(
            f"{error}; say in their contract how they differ, or part their group in `reasons`"
        ) from error
    return book


def compared(book: ReasonBook, rows: NDArray[np.float32], monotone: Mapping[str, int]) -> ReasonBook:
    """Add what a value is compared with: median and mean of the reference applicants who have one, and its monotone constraint.

    Parameters
    ----------
    book
        Of the model's inputs.
    rows
        (applicants, inputs) of the model's matrix, NaN where unknown.
    monotone
        Input -> which way the PD may move with it; one that is left out has no constraint.
    """
    tellings = []
    for telling, column in zip(book.tellings, rows.T.astype(np.float64), strict=True):
        if telling.kind == "numeric" and len(seen := column[~np.isnan(column)]):
            median, mean = float(np.median(seen)), float(seen.mean())
            sign = monotone.get(telling.feature, 0)
            tellings.append(replace(telling, median=median, mean=mean, monotone=sign))
        else:
            tellings.append(telling)
    return replace(book, tellings=tuple(tellings))


def code_of(group: str) -> str:
    """Give a group its code, which hangs on its name alone.

    Examples
    --------
    >>> code_of("bureau__debt_amt")
    'BUR-1A7C'
    """
    family = group.partition("__")[0]
    return f"{LETTERS[family]}-{hashlib.sha256(group.encode()).hexdigest()[:6].upper()}"


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


def _said(spec: FeatureSpec) -> str:
    subject, source = say(spec.description, share=spec.unit == "share"), SOURCES.get(spec.family)
    if not subject or source is None:
        raise ReasonError(
            f"{spec.name} has no description, or its family {spec.family} no source in words; write it in its contract or in `reasons`"
        )
    return f"{SCORES if OF_SCORES in spec.description.lower() else source}: {subject}"


def _value(spec: FeatureSpec) -> str | None:
    """Say how a value is written, where it says something to a person."""
    bare = _WINDOW.sub("", spec.name)
    if _FORMULA.search(spec.description.lower()) or _RATIO_OF_WINDOWS.search(spec.name) or _CHANGE.search(bare):
        return None
    return VALUES.get(spec.unit)
