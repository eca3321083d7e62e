"""Where each feature stands in an applicant's row of numbers: the model's inputs in their order, then what hard rules look at.

What belongs here: rows and laying computed families into them. What does not: where families come from (`features`), stored rows
(`online.matrix`), what the model does with numbers (`modelling.bundle`).

Unknown is NaN. A category is its number in the model; one that the training did not see is UNSEEN until the model is asked, which takes it
for unknown.
"""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from creditrisk_assets.modelling.bundle import Bundle, to_float32
from creditrisk_serving.online.layout import Layout
from creditrisk_serving.online.matrix import UNKNOWN, UNSEEN, MatrixReader


class _Family(NamedTuple):
    """Where the features of a family go."""

    columns: tuple[str, ...]  # that a decision takes
    chosen: Callable[[Sequence[Any]], Sequence[Any]]  # these, of all the plan gives
    places: slice | NDArray[np.intp]
    categories: tuple[tuple[int, Mapping[str, float]], ...]  # place among the columns, numbers by name
    presence: int | None  # place of the flag that tells whether it has rows


class Slots:
    """The places of features in a row. Safe to share between threads.

    Parameters
    ----------
    bundle
        Its plan names the features each family gives, and the flags that tell whether it has rows.
    """

    def __init__(self, bundle: Bundle) -> None:
        plan, self.names = bundle.plan, bundle.needed_names
        self.inputs = len(bundle.features)
        self._places = {name: place for place, name in enumerate(self.names)}
        self._codes = {feature.name: feature.codes for feature in bundle.features if feature.kind == "category"}
        self._categories = np.array([self._places[name] for name in self._codes], dtype=np.intp)
        self._flags: Mapping[str, str] = plan["presence"]
        flags = {family: self._places.get(flag) for flag, family in self._flags.items()}
        self._families = {
            family: self._family([name for name, _ in declared["columns"]], flags.get(family))
            for family, declared in plan["families"].items()
        }
        self._empty = np.full(len(self.names), UNKNOWN)
        self._empty[[place for place in flags.values() if place is not None]] = 0.0

    def _family(self, given: Sequence[str], presence: int | None) -> _Family:
        columns = tuple(name for name in given if name in self._places)
        places = [self._places[name] for name in columns]
        return _Family(
            columns,
            chooser([place for place, name in enumerate(given) if name in self._places]),
            _run(places) or np.array(places, dtype=np.intp),
            tuple((place, self._codes[name]) for place, name in enumerate(columns) if name in self._codes),
            presence,
        )

    @property
    def columns(self) -> Mapping[str, tuple[str, ...]]:
        """The features a decision takes, by family."""
        return {name: family.columns for name, family in self._families.items()}

    def of(self, families: Iterable[str]) -> NDArray[np.bool_]:
        """Tell which places of a row families fill, their flags among them."""
        found = np.zeros(len(self.names), dtype=bool)
        for name in families:
            found[self._families[name].places] = True
            if (flag := self._families[name].presence) is not None:
                found[flag] = True
        return found

    def reader(self, layout: Layout) -> MatrixReader:
        """Make what lays stored rows into a row of `matrix`."""
        return MatrixReader(layout, self.names, self._flags, self._codes)

    def matrix(self, rows: int) -> NDArray[np.float64]:
        """Make rows of applicants of whom nothing is known."""
        return self._empty[np.newaxis].copy() if rows == 1 else np.tile(self._empty, (rows, 1))

    def put(self, row: NDArray[np.float64], family: str, values: Sequence[Any] | None) -> None:
        """Lay a computed family into a row.

        Parameters
        ----------
        row
            The applicant's.
        family
            Its name.
        values
            The plan's every feature of it, None or NaN where unknown; None: the applicant has no rows in it.
        """
        mine = self._families[family]
        if values is None:
            row[mine.places] = UNKNOWN
        else:
            found = list(mine.chosen(values))
            for place, codes in mine.categories:
                if isinstance(name := found[place], str):
                    found[place] = codes.get(name, UNSEEN)
            row[mine.places] = np.array(found, dtype=np.float64)
        if mine.presence is not None:
            row[mine.presence] = float(values is not None)

    def seen(self, matrix: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return what the model sees of rows.

        Returns
        -------
        tuple
            (n, inputs) numbers, NaN where unknown, and (n, categories) whether the training did not see a category, which the model
            takes for unknown.
        """
        numbers = to_float32(matrix[:, : self.inputs])
        unseen: NDArray[np.bool_] = matrix[:, self._categories] == UNSEEN
        if np.count_nonzero(unseen):
            numbers[:, self._categories] = np.where(unseen, UNKNOWN, numbers[:, self._categories])
        return numbers, unseen

    def infinite(self, row: NDArray[np.float64]) -> str | None:
        """Name the first input of a row that is infinite."""
        places = np.flatnonzero(np.isinf(row[: self.inputs]))
        return self.names[int(places[0])] if places.size else None

    def named(self, row: NDArray[np.float64], names: Sequence[str]) -> dict[str, float | None]:
        """Name some numbers of a row; None where unknown."""
        found = {name: float(row[self._places[name]]) for name in names}
        return {name: None if value != value else value for name, value in found.items()}  # noqa: PLR0124 - NaN


def chooser(places: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """Choose values by their places; one run of neighbours is a slice."""
    if not places:
        return lambda _: ()
    if (run := _run(places)) is not None:
        return operator.itemgetter(run)
    take = operator.itemgetter(*places)
    return take if len(places) > 1 else lambda values: (take(values),)


def _run(places: Sequence[int]) -> slice | None:
    """Return the slice that a run of neighbours is; None if they are none."""
    if places and list(places) == list(range(places[0], places[0] + len(places))):
        return slice(places[0], places[0] + len(places))
    return None
