"""Features of the applicants of one request: computed from the rows sent, looked up otherwise.

What belongs here: which family of which applicant comes from where, and the states told to the caller. What does not:
the SQL (in the bundle's plan), reading the online store (`lookup`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import duckdb

from creditrisk_assets.features.request import RequestError, RequestFeatures
from creditrisk_serving.errors import FieldError, NotReadyError
from creditrisk_serving.scoring.lookup import LookedUp, PublishedFeatures
from creditrisk_serving.scoring.parsing import Applicant
from creditrisk_serving.scoring.rules import APPLICANT

State = LookedUp | Literal["sent"]
APPLICATION = "application"


@dataclass(frozen=True)
class Featured:
    """One applicant with features."""

    applicant: Applicant
    features: Mapping[str, Any]
    states: Mapping[str, State]  # family -> sent | present | no_history | stale


@dataclass(frozen=True)
class FeatureSource:
    """Everything features come from, for one bundle and one snapshot of the online store."""

    plan: Mapping[str, Any]
    engine: RequestFeatures
    published: PublishedFeatures | None

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
            return self._features(applicants)
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

    def _features(self, applicants: Sequence[Applicant]) -> tuple[list[Featured], list[FieldError]]:
        gathered = {a.applicant_id: _Gathered({}, {}, {}) for a in applicants}
        self._compute(applicants, gathered)
        self._look_up(applicants, gathered)
        found: list[Featured] = []
        errors: list[FieldError] = []
        for applicant in applicants:
            values, there, states = gathered[applicant.applicant_id]
            if not there[APPLICATION]:
                message = "no published features have this id; send the application instead"
                errors.append(FieldError(applicant.table, "unknown_applicant", message, applicant.row))
                continue
            values.update((flag, there[family]) for flag, family in self.plan["presence"].items())
            found.append(Featured(applicant, values, {name: states[name] for name in self.plan["families"]}))
        return found, errors

    def _compute(self, applicants: Sequence[Applicant], gathered: Mapping[int, "_Gathered"]) -> None:
        """Compute what was sent: all families where histories came too, the application family alone otherwise."""
        whole = [a for a in applicants if a.histories]
        if whole:
            rows: dict[str, list[Mapping[str, Any]]] = {}
            for applicant in whole:
                for table, sent in applicant.histories.items():
                    rows.setdefault(table, []).extend(sent)
            columns = self.engine.compute([a.application or {APPLICANT: a.applicant_id} for a in whole], rows)
            self._take(whole, columns, gathered)
        for applicant in applicants:
            if applicant.application is not None:
                mine = gathered[applicant.applicant_id]
                if not applicant.histories:
                    mine.values.update(self.engine.application(applicant.application))
                mine.there[APPLICATION] = True
                mine.states[APPLICATION] = "sent"

    def _take(
        self, applicants: Sequence[Applicant], columns: Mapping[str, Sequence[Any]], gathered: Mapping[int, "_Gathered"]
    ) -> None:
        """Give each applicant its part of what was computed together."""
        for family, plan in self.plan["families"].items():
            names = [name for name, _ in plan["columns"]]
            for place, applicant in enumerate(applicants):
                if family == APPLICATION and applicant.application is None:
                    continue
                gathered[applicant.applicant_id].values.update((name, columns[name][place]) for name in names)
        for flag, family in self.plan["presence"].items():
            for applicant, found in zip(applicants, columns[flag], strict=True):
                mine = gathered[applicant.applicant_id]
                mine.there[family] = found
                mine.states[family] = "sent" if found else "no_history"

    def _look_up(self, applicants: Sequence[Applicant], gathered: Mapping[int, "_Gathered"]) -> None:
        """Look up every family that was not computed, all of an applicant at once."""
        families = tuple(self.plan["families"])
        wanted = [a.applicant_id for a in applicants if len(gathered[a.applicant_id].states) < len(families)]
        if not wanted:
            return
        if self.published is None:
            raise NotReadyError("the online store is not readable; GET /ready says why")
        rows = self.published.find(wanted)
        for applicant in wanted:
            mine, row = gathered[applicant], rows.get(applicant, {})
            for family in families:
                if family in mine.states:
                    continue
                columns, there = self.published.columns[family], family in row
                mine.values.update(zip(columns, row[family], strict=True) if there else dict.fromkeys(columns))
                mine.there[family] = there
                mine.states[family] = self.published.state(family, found=there)


class _Gathered(NamedTuple):
    """What is known of one applicant so far."""

    values: dict[str, Any]
    there: dict[str, bool]  # family -> whether it has rows
    states: dict[str, State]
