"""Features of the applicants of one request: computed from the rows sent, looked up otherwise.

What belongs here: which family of which applicant comes from where, and the states told to the caller. What does not:
the SQL (in the bundle's plan), reading the online store (`lookup`), where a feature stands in a row (`slots`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import duckdb

from creditrisk_assets.features.request import RequestError, RequestFeatures, Values
from creditrisk_serving.errors import FieldError, NotReadyError
from creditrisk_serving.scoring.lookup import LookedUp, PublishedFeatures
from creditrisk_serving.scoring.parsing import Applicant
from creditrisk_serving.scoring.rules import APPLICANT
from creditrisk_serving.scoring.slots import Slots

State = LookedUp | Literal["sent"]
Computed = Mapping[str, Values | None]  # family -> all its features; None: the applicant sent no row of it
APPLICATION = "application"


@dataclass(frozen=True)
class Featured:
    """One applicant with the features a decision takes, in the order of `Slots.names`; NaN where unknown."""

    applicant: Applicant
    features: list[Any]
    states: Mapping[str, State]  # family -> sent | present | no_history | stale


@dataclass(frozen=True)
class FeatureSource:
    """Everything features come from, for one bundle and one snapshot of the online store."""

    plan: Mapping[str, Any]
    slots: Slots
    engine: RequestFeatures
    published: PublishedFeatures | None

    def at_once(self, applicant: Applicant) -> tuple[list[Featured], list[FieldError]] | None:
        """Give the features of an applicant without histories if that takes microseconds; None: use `features`, on a thread."""
        if self.published is None or not self.published.local:
            return None
        if applicant.application is None:
            return self._assemble([applicant], {})
        settled = self.engine.settled(applicant.application)
        if settled is None:
            return None
        return self._assemble([applicant], {applicant.applicant_id: {APPLICATION: settled}})

    def features(self, applicants: Sequence[Applicant]) -> tuple[list[Featured], list[FieldError]]:
        """Find or compute every family for every applicant.

        Returns
        -------
        tuple
            The applicants with features, in the order given, and the errors of the others (unknown ids, values the
            SQL cannot take).

        Raises
        ------
        NotReadyError
            A lookup is needed and the online store is not there.
        """
        try:
            return self._assemble(applicants, self._compute(applicants))
        except (RequestError, duckdb.Error):
            if len(applicants) > 1:
                return self._one_by_one(applicants)
        # The engine's words quote the value it choked on, so they go nowhere.
        message = "the features cannot be computed from these values, though each is within its bounds"
        return [], [FieldError(applicants[0].table, "not_computable", message, applicants[0].row)]

    def _one_by_one(self, applicants: Sequence[Applicant]) -> tuple[list[Featured], list[FieldError]]:
        """Find the applicant whose values the SQL cannot take, and keep the others."""
        found: list[Featured] = []
        errors: list[FieldError] = []
        for applicant in applicants:
            featured, problems = self.features([applicant])
            found += featured
            errors += problems
        return found, errors

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

    def _assemble(
        self, applicants: Sequence[Applicant], computed: Mapping[int, Computed]
    ) -> tuple[list[Featured], list[FieldError]]:
        """Put together what was computed and what is looked up, all families of an applicant at once."""
        every = len(self._families)
        wanted = [a.applicant_id for a in applicants if len(computed.get(a.applicant_id, ())) < every]
        stored = self._store.find(wanted) if wanted else {}
        found: list[Featured] = []
        errors: list[FieldError] = []
        for applicant in applicants:
            mine = computed.get(applicant.applicant_id, {})
            known = stored.get(applicant.applicant_id, {})
            if APPLICATION not in mine and APPLICATION not in known:
                message = "no published features have this id; send the application instead"
                errors.append(FieldError(applicant.table, "unknown_applicant", message, applicant.row))
            else:
                found.append(self._featured(applicant, mine, known))
        return found, errors

    def _featured(self, applicant: Applicant, computed: Computed, stored: Mapping[str, Values]) -> Featured:
        row, states = self.slots.empty(), {}
        for family in self._families:
            if family in computed:
                values = computed[family]
                states[family] = self._put(row, family, values)
            else:
                states[family] = self._put_stored(row, family, stored.get(family))
        return Featured(applicant, row, states)

    def _put(self, row: list[Any], family: str, values: Values | None) -> State:
        if values is None:
            return "no_history"
        self.slots.put_computed(row, family, values)
        return "sent"

    def _put_stored(self, row: list[Any], family: str, values: Values | None) -> State:
        if values is not None:
            self.slots.put(row, family, values)
        return self._store.state(family, found=values is not None)

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
