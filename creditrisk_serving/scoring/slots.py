"""Where each feature stands in an applicant's row: one list in the order of the model's inputs, no names while a request runs.

What belongs here: laying families into a row, rendering a row for the decision log. What does not: where families come from (`features`),
what the model does with a row (`modelling.bundle`).
"""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

UNKNOWN = float("nan")


class Slots:
    """The places of features in a row. Safe to share between threads.

    Parameters
    ----------
    plan
        The content of plan.json: the features each family gives, and those that tell whether it has rows.
    names
        The features a decision takes, in the order of a row: the model's inputs first (`Bundle.needed_names`).
    """

    def __init__(self, plan: Mapping[str, Any], names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._places = places = {name: place for place, name in enumerate(names)}
        self._columns: dict[str, tuple[str, ...]] = {}
        self._laid: dict[str, Callable[[list[Any], Sequence[Any]], None]] = {}
        self._chosen: dict[str, Callable[[Sequence[Any]], Sequence[Any]]] = {}
        for family, declared in plan["families"].items():
            given = [name for name, _ in declared["columns"]]
            self._columns[family] = tuple(name for name in given if name in places)
            self._laid[family] = _layer([places[name] for name in self._columns[family]])
            self._chosen[family] = chooser([place for place, name in enumerate(given) if name in places])
        self._presence = {family: places[flag] for flag, family in plan["presence"].items() if flag in places}
        self._empty: list[Any] = [UNKNOWN] * len(names)
        for place in self._presence.values():
            self._empty[place] = False
        self._rendered = msgspec.defstruct("Features", [(name, Any) for name in names])
        self._encoder = msgspec.json.Encoder()

    @property
    def columns(self) -> Mapping[str, tuple[str, ...]]:
        """The features a decision takes, by family, in the order `put` takes them."""
        return self._columns

    def empty(self) -> list[Any]:
        """Make the row of an applicant of whom nothing is known."""
        return self._empty.copy()

    def put(self, row: list[Any], family: str, values: Sequence[Any]) -> None:
        """Lay a family that has rows into a row.

        Parameters
        ----------
        row
            The applicant's.
        family
            Its name.
        values
            Its features as in `columns`; NaN where unknown.
        """
        self._laid[family](row, values)
        if (place := self._presence.get(family)) is not None:
            row[place] = True

    def put_computed(self, row: list[Any], family: str, values: Sequence[Any]) -> None:
        """Lay a family into a row of which the plan's every feature is given, None where unknown."""
        self.put(row, family, [UNKNOWN if value is None else value for value in self._chosen[family](values)])

    def named(self, row: Sequence[Any], names: Iterable[str]) -> dict[str, Any]:
        """Name some features of a row."""
        return {name: row[self._places[name]] for name in names}

    def render(self, row: Sequence[Any]) -> bytes:
        """Render a row as JSON, feature -> value, null where unknown."""
        return self._encoder.encode(self._rendered(*row))


def chooser(places: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """Choose values by their places; one run of neighbours is a slice."""
    if not places:
        return lambda _: ()
    if (run := _run(places)) is not None:
        return operator.itemgetter(run)
    take = operator.itemgetter(*places)
    return take if len(places) > 1 else lambda values: (take(values),)


def _layer(places: Sequence[int]) -> Callable[[list[Any], Sequence[Any]], None]:
    """Lay values at places, all at once where these are one run of neighbours."""
    if (run := _run(places)) is not None:
        return lambda row, values: operator.setitem(row, run, values)

    def one_by_one(row: list[Any], values: Sequence[Any]) -> None:
        for place, value in zip(places, values, strict=True):
            row[place] = value

    return one_by_one


def _run(places: Sequence[int]) -> slice | None:
    """Return the slice that a run of neighbours is; None if they are none."""
    if places and list(places) == list(range(places[0], places[0] + len(places))):
        return slice(places[0], places[0] + len(places))
    return None
