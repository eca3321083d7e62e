"""Applicants parted by what no decision may rest on.

What belongs here: the groups of an attribute, and of two crossed. What does not: what is measured of a group (`measures`), which
attributes there are and whom they are compared with (the policy). The attributes are read for tests alone and reach no model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from creditrisk_assets.modelling.policy import FairnessLimits, Policy, TestedAttribute

DAYS_PER_YEAR = 365.25


@dataclass(frozen=True)
class Grouping:
    """The applicants by one attribute, or by two.

    Attributes
    ----------
    attribute
        What people call it.
    values : (n,)
        The group of each applicant; None where it is not known.
    reference
        The group that others are compared with; None: everybody else.
    judged
        The groups the limits hold for; none where two attributes are crossed.
    """

    attribute: str
    values: NDArray[np.object_]
    reference: str | None = None
    judged: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The groups there are."""
        return sorted({value for value in self.values.tolist() if value is not None})

    def of(self, name: str) -> NDArray[np.bool_]:
        """Tell who is in a group."""
        return np.asarray(self.values == name, dtype=np.bool_)

    def compared_with(self, name: str) -> NDArray[np.bool_]:
        """Tell whom a group is compared with: the reference, or everybody else whose group is known."""
        if self.reference is not None:
            return self.of(self.reference)
        return np.array([value is not None and value != name for value in self.values.tolist()], dtype=np.bool_)


def grouped(table: pd.DataFrame, policy: Policy) -> tuple[Grouping, ...]:
    """Part applicants by every tested attribute, and by those crossed.

    Parameters
    ----------
    table : (n, attributes)
        The raw columns that the policy's `fairness.attributes` name.
    policy
        Its `fairness` and the names of its prohibited attributes.

    Raises
    ------
    ValueError
        The policy has no `fairness`, or a judged group is no group of its attribute.
    """
    limits = limits_of(policy)
    names = {one.column: one.attribute for one in policy.prohibited.attributes}
    force = policy.prohibited.columns
    single = {
        one.column: _group(one, table[one.column], names.get(one.column, one.column), judged=one.column in force)
        for one in limits.attributes
    }
    crossed = [_cross(single[first], single[second]) for first, second in limits.crossed]
    return (*single.values(), *crossed)


def limits_of(policy: Policy) -> FairnessLimits:
    """Return the limits of a policy.

    Raises
    ------
    ValueError
        It has none.
    """
    if policy.fairness is None:
        raise ValueError("the policy has no section `fairness`; add it, as in the policy file beside the code")
    return policy.fairness


def columns_of(policy: Policy) -> tuple[str, ...]:
    """Return the raw columns that are read for the tests."""
    return tuple(attribute.column for attribute in limits_of(policy).attributes)


def _group(tested: TestedAttribute, column: "pd.Series[Any]", attribute: str, *, judged: bool) -> Grouping:
    values = _bands(column, tested.years) if tested.years else _names(column, tested.names)
    groups = [*(_band_names(tested.years) if tested.years else sorted({v for v in values.tolist() if v is not None}))]
    if tested.years and (strangers := sorted(set(tested.judged) - set(groups))):
        raise ValueError(
            f"fairness: {', '.join(strangers)} is no band of {tested.column}; there are {', '.join(groups)}"
        )
    chosen = tested.judged or tuple(name for name in groups if name != tested.reference)
    return Grouping(attribute, values, tested.reference, chosen if judged else ())


def _bands(column: "pd.Series[Any]", years: tuple[int, ...]) -> NDArray[np.object_]:
    """Name the band of age of each applicant; the column is days before application, negative."""
    ages = -column.to_numpy(dtype=np.float64, na_value=np.nan) / DAYS_PER_YEAR
    names = _band_names(years)
    places = np.searchsorted(np.asarray(years, dtype=np.float64), ages, "right")
    return np.array(
        [None if np.isnan(age) else names[place] for age, place in zip(ages, places, strict=True)], dtype=object
    )


def _band_names(years: tuple[int, ...]) -> list[str]:
    inner = [f"{low} to {high - 1}" for low, high in pairwise(years)]
    return [f"under {years[0]}", *inner, f"{years[-1]} and older"]


def _names(column: "pd.Series[Any]", names: Mapping[str, str]) -> NDArray[np.object_]:
    values = [None if pd.isna(value) else names.get(str(value), str(value)) for value in column.tolist()]
    return np.array(values, dtype=object)


def _cross(first: Grouping, second: Grouping) -> Grouping:
    pairs = zip(first.values.tolist(), second.values.tolist(), strict=True)
    values = [None if one is None or other is None else f"{one}, {other}" for one, other in pairs]
    return Grouping(f"{first.attribute} × {second.attribute}", np.array(values, dtype=object))
