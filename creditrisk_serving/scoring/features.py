"""Features of the applicants of one request: computed from the rows sent, looked up otherwise.

What belongs here: which family of which applicant comes from where, and the states told to the caller. What does not:
the SQL (in the bundle's plan), reading the online store (`lookup`), where a feature stands in a row (`slots`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import duckdb
import numpy as np
from numpy.typing import NDArray

from creditrisk_assets.features.request import RequestFeatures
from creditrisk_assets.features.worker import RequestError, Values
from creditrisk_serving.errors import FieldError, NotReadyError
from creditrisk_serving.scoring.lookup import LookedUp, PublishedFeatures
from creditrisk_serving.scoring.parsing import Applicant
from creditrisk_serving.scoring.rules import APPLICANT
from creditrisk_serving.scoring.slots import Slots

State = LookedUp | Literal["sent"]
Computed = Mapping[str, Values | None]  # family -> all its features; None: the applicant sent no row of it
APPLICATION = "application"


class Featured(NamedTuple):
    """One applicant with features."""

    applicant: Applicant
    states: Mapping[str, State]  # family -> sent | present | no_history | stale


class Features(NamedTuple):
    """The applicants of a request, their rows of features (`Slots.matrix`), the errors of those without, and what rows are made of."""

    featured: Sequence[Featured]
    matrix: NDArray[np.float64]
    errors: Sequence[FieldError]
    computed: Mapping[int, Computed]
    stored: Mapping[int, bytes]  # rows of the online store


@dataclass(frozen=True)
class FeatureSource:
    """Everything features come from, for one bundle and one snapshot of the online store."""

    plan: Mapping[str, Any]
    slots: Slots
    engine: RequestFeatures
    published: PublishedFeatures | None

    def at_once(self, applicant: Applicant) -> Features | None:
        """Give the features of an applicant without histories if that takes microseconds; None: use `features`, on a thread."""
        if self.published is None or not self.published.local:
            return None
        if applicant.application is None:
            return self._assemble([applicant], {})
        settled = self.engine.settled(applicant.application)
        if settled is None:
            return None
        return self._assemble([applicant], {applicant.applicant_id: {APPLICATION: settled}})

    def features(self, applicants: Sequence[Applicant]) -> Features:
        """Find or compute every family for every applicant; errors are unknown ids and values the SQL cannot take.

        Raises
        ------
        NotReadyError
            A lookup is needed and the online store is not there.
        """
        try:
            return self._assemble(applicants, self._compute(applicants))
        except (RequestError, duckdb.Error):
            return self._one_by_one(applicants)

    def _one_by_one(self, applicants: Sequence[Applicant]) -> Features:
        """Leave out the applicants whose values the SQL cannot take."""
        computed: dict[int, Computed] = {}
        errors: list[FieldError] = []
        kept = []
        for applicant in applicants:
            try:
                computed |= self._compute([applicant])
                kept.append(applicant)
            except (RequestError, duckdb.Error):
                # The engine's words quote the value it choked on, so they go nowhere.
                message = "the features cannot be computed from these values, though each is within its bounds"
                errors.append(FieldError(applicant.table, "not_computable", message, applicant.row))
        found = self._assemble(kept, computed)
        return found._replace(errors=[*errors, *found.errors])

    def _compute(self, applicants: Sequence[Applicant]) -> dict[int, Computed]:
        """Compute what was sent: all families where histories came too, the application family alone otherwise."""
        computed: dict[int, Computed] = {
            applicant.applicant_id: {APPLICATION: self.engine.application(applicant.application)}
            for applicant in applicants
            if applicant.application is not None and not applicant.histories
        }
        if whole := [applicant for applicant in applicants if applicant.histories]:
            rows: dict[str, list[Mapping[str, Any]]] = {}
            for applicant in whole:
                for table, sent in applicant.histories.items():
                    rows.setdefault(table, []).extend(sent)
            found = self.engine.families([a.application or {APPLICANT: a.applicant_id} for a in whole], rows)
            for applicant in whole:
                computed[applicant.applicant_id] = {
                    family: found[family].get(applicant.applicant_id)
                    for family in self._families
                    if family != APPLICATION or applicant.application is not None
                }
        return computed

    def _assemble(self, applicants: Sequence[Applicant], computed: Mapping[int, Computed]) -> Features:
        """Put together what was computed and what is looked up, all families of an applicant at once."""
        every = len(self._families)
        wanted = [a.applicant_id for a in applicants if len(computed.get(a.applicant_id, ())) < every]
        stored = self._store.find(wanted) if wanted else {}
        matrix = self.slots.matrix(len(applicants))
        known = self._laid(applicants, stored, matrix)
        looked_up: dict[tuple[str, ...], Mapping[str, State]] = {}  # by the families an applicant has
        found: list[Featured] = []
        kept: list[int] = []
        errors: list[FieldError] = []
        for place, applicant in enumerate(applicants):
            mine, has = computed.get(applicant.applicant_id, {}), known.get(place, ())
            if APPLICATION not in mine and APPLICATION not in has:
                message = "no published features have this id; send the application instead"
                errors.append(FieldError(applicant.table, "unknown_applicant", message, applicant.row))
                continue
            if mine:
                states = self._put(mine, has, matrix[place])
            else:
                if has not in looked_up:
                    looked_up[has] = self._put({}, has, matrix[place])
                states = looked_up[has]
            found.append(Featured(applicant, states))
            kept.append(place)
        return Features(found, matrix if len(kept) == len(matrix) else matrix[kept], errors, computed, stored)

    def _laid(
        self, applicants: Sequence[Applicant], stored: Mapping[int, bytes], matrix: NDArray[np.float64]
    ) -> dict[int, tuple[str, ...]]:
        """Lay what is stored into the applicants' rows, and name the families found, by place."""
        if len(applicants) == 1 and stored:  # the way of most requests
            ((key, packed),) = stored.items()
            return {0: self._store.lay(key, packed, matrix[0])}
        places = [place for place, applicant in enumerate(applicants) if applicant.applicant_id in stored]
        if not places:
            return {}
        keys = [applicants[place].applicant_id for place in places]
        rows = matrix if len(places) == len(matrix) else self.slots.matrix(len(places))
        families = self._store.lay_many(keys, [stored[key] for key in keys], rows)
        if rows is not matrix:
            matrix[places] = rows
        return dict(zip(places, families, strict=True))

    def _put(self, computed: Computed, known: Sequence[str], row: NDArray[np.float64]) -> Mapping[str, State]:
        """Lay an applicant's computed families into its row, and return the states of all."""
        states: dict[str, State] = {}
        for family in self._families:
            if family in computed:
                values = computed[family]
                self.slots.put(row, family, values)
                states[family] = "no_history" if values is None else "sent"
            else:
                states[family] = self._store.state(family, found=family in known)
        return states

    @property
    def _store(self) -> PublishedFeatures:
        """The snapshot to look up in.

        Raises
        ------
        NotReadyError
            There is none.
        """
        if self.published is None:
            raise NotReadyError("the online store is not readable; GET /ready says why")
        return self.published

    @cached_property
    def _families(self) -> tuple[str, ...]:
        return tuple(self.plan["families"])
