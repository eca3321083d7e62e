"""Principal reasons: which groups of features raised an applicant's PD most, and how each is said.

What belongs here: the book of reasons as a bundle carries it, ranking by groups, choosing the text. What does not: making the texts and
groups (`reasons`, `words`), contributions (`explainer`), reasons of hard rules (`policy`). The scoring service imports this module, so it
depends on numpy alone.

Contributions are summed within groups before they are ranked: features that say nearly the same share what they say among them by chance.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

MOST = 4  # Regulation B, 12 CFR 1002.9(b)(2) and its commentary: more are not likely to be helpful
LARGEST_GROUP = 15
STATES: Mapping[str, tuple[str, ...]] = {  # by the kind of a feature; each also has `missing`
    "numeric": ("above", "below", "level", "alone"),
    "boolean": ("yes", "no"),
    "category": ("stated",),
}
MISSING, CATEGORY = "missing", "category"


class BookError(ValueError):
    """A book of reasons does not hold what it should; the message names the feature."""


@dataclass(frozen=True)
class Telling:
    """How a feature is told of."""

    feature: str
    group: str
    kind: str
    said: str  # source and quantity
    value: str | None  # how its value is written: `amount`, `days`, …; None: it is not told
    median: float | None = None  # of the reference applicants; None: a category or flag, or known of none of them
    mean: float | None = None
    monotone: int = 0  # which way the PD may move with it


@dataclass(frozen=True)
class Told:
    """One principal reason."""

    code: str
    text: str
    group: str
    feature: str
    contribution: float  # of the whole group
    value: str | None


@dataclass(frozen=True)
class ReasonBook:
    """The reasons of a model's inputs, in their order. Immutable, safe to share between threads."""

    tellings: tuple[Telling, ...]
    codes: Mapping[str, str]  # group -> code
    words: Mapping[str, str]  # state -> how it is said

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The groups, by name."""
        return tuple(sorted({telling.group for telling in self.tellings}))

    @cached_property
    def places(self) -> NDArray[np.intp]:
        """The group of each input, (inputs,)."""
        known = {group: place for place, group in enumerate(self.groups)}
        return np.array([known[telling.group] for telling in self.tellings], dtype=np.intp)

    @cached_property
    def _members(self) -> tuple[NDArray[np.intp], ...]:
        return tuple(np.flatnonzero(self.places == place) for place in range(len(self.groups)))

    def sums(self, contributions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Add contributions up within groups: (groups,) of (inputs,)."""
        return np.bincount(self.places, contributions, len(self.groups)).astype(np.float64)

    def principal(
        self,
        contributions: NDArray[np.float64],
        row: NDArray[np.float32],
        categories: Mapping[str, Sequence[str]],
        most: int = MOST,
    ) -> list[Told]:
        """Find the principal reasons of an applicant.

        Parameters
        ----------
        contributions
            (inputs,) of `Explainer.contributions`.
        row
            (inputs,) the applicant's numbers as the model saw them, NaN where unknown.
        categories
            Input -> the names its numbers stand for.
        most
            How many at most.

        Returns
        -------
        list of Told
            The groups whose sum raised the PD, the largest first; each is told of by its feature that contributed most.
        """
        sums = self.sums(contributions)
        found = []
        for place in largest(sums, most).tolist():
            members = self._members[place]
            feature = int(members[contributions[members].argmax()])
            telling, value = self.tellings[feature], float(row[feature])
            found.append(
                Told(
                    code=self.codes[telling.group],
                    text=f"{telling.said} – {self.words[state_of(telling, value)]}",
                    group=telling.group,
                    feature=telling.feature,
                    contribution=float(sums[place]),
                    value=_written(telling, value, categories),
                )
            )
        return found

    def require(self, names: Sequence[str]) -> None:
        """Prove that each input of a model has a reason of its own.

        Raises
        ------
        BookError
            One has none, the book is of other inputs, two are told of by one text, a group is too large, or two have one code.
        """
        mine = [telling.feature for telling in self.tellings]
        if lacking := [name for name in names if name not in set(mine)]:
            raise BookError(f"{len(lacking)} inputs of the model have no reason, among them {', '.join(lacking[:3])}")
        if mine != list(names):
            raise BookError("the reasons are of other inputs than the model's, or in another order")
        said: dict[str, str] = {}
        for telling in self.tellings:
            if not telling.said.strip() or telling.said in said:
                raise BookError(f"{said.get(telling.said, 'none')} and {telling.feature} would be told of by one text")
            said[telling.said] = telling.feature
            if telling.kind not in STATES or telling.value not in (None, CATEGORY, *WRITTEN):
                raise BookError(
                    f"{telling.feature} is of kind {telling.kind}, its value written as {telling.value}: not known here"
                )
            if unsaid := {*STATES[telling.kind], MISSING} - self.words.keys():
                raise BookError(f"{telling.feature} may be {', '.join(sorted(unsaid))}, for which there are no words")
        if large := [
            group for group, size in zip(self.groups, map(len, self._members), strict=True) if size > LARGEST_GROUP
        ]:
            raise BookError(f"groups of more than {LARGEST_GROUP} features: {', '.join(large)}")
        if self.codes.keys() != set(self.groups) or len(set(self.codes.values())) != len(self.codes):
            raise BookError("groups and codes do not stand one for one")

    def to_json(self) -> str:
        """Render as canonical JSON."""
        told = [vars(telling) for telling in self.tellings]
        content = {"codes": dict(self.codes), "features": told, "words": dict(self.words)}
        return json.dumps(content, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "ReasonBook":
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError, KeyError, TypeError
            It is not that.
        """
        content = json.loads(text)
        return cls(tuple(Telling(**one) for one in content["features"]), content["codes"], content["words"])


def largest(sums: NDArray[np.float64], most: int = MOST) -> NDArray[np.intp]:
    """Give the places of the largest sums above 0, the largest first; the first among equals.

    Examples
    --------
    >>> largest(np.array([0.1, -0.5, 0.3, 0.0])).tolist()
    [2, 0]
    """
    raising = np.flatnonzero(sums > 0)
    return raising[np.argsort(-sums[raising], kind="stable")[:most]]


def state_of(telling: Telling, value: float) -> str:
    """Tell what an applicant's value that raised the PD is, compared with the reference applicants'.

    Where the PD may only rise or only fall with it, it was raised by reference applicants on one side alone, whatever their median.
    """
    if value != value:  # noqa: PLR0124 - NaN
        return MISSING
    if telling.kind == "category":
        return "stated"
    if telling.kind == "boolean":
        return "yes" if value else "no"
    if telling.median is None or telling.mean is None:
        return "alone"
    if telling.monotone:
        return "above" if telling.monotone > 0 else "below"
    compared = telling.median if value != telling.median else telling.mean
    if value == compared:
        return "level"
    return "above" if value > compared else "below"


def _written(telling: Telling, value: float, categories: Mapping[str, Sequence[str]]) -> str | None:
    """Write an applicant's value as a person reads it; None where it is unknown or is not told."""
    if telling.value is None or value != value:  # noqa: PLR0124 - NaN
        return None
    if telling.value == CATEGORY:
        return categories[telling.feature][int(value)]
    return WRITTEN[telling.value](value)


WRITTEN: Mapping[str, Callable[[float], str]] = {
    "amount": lambda value: f"{value:,.0f}",
    "count": lambda value: f"{value:,.4g}",
    "days": lambda value: f"{value:,.0f} days",
    "months": lambda value: f"{value:,.0f} months",
    "ratio": lambda value: f"{value:,.2f}",
    "share": lambda value: f"{value:.0%}",
}
