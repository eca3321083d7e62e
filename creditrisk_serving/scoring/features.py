"""Features of the applicants of one request: computed from the rows sent, looked up otherwise.

What belongs here: which family of which applicant comes from where, and the states told to the caller. What does not:
the SQL (in the bundle's plan), reading published tables (`lookup`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import duckdb

from creditrisk_assets.features.request import RequestError, RequestFeatures
from creditrisk_serving.errors import FieldError, NotReadyError
from creditrisk_serving.scoring.lookup import PublishedFeatures
from creditrisk_serving.scoring.parsing import Applicant
from creditrisk_serving.scoring.rules import APPLICANT

State = Literal["present", "no_history", "sent"]
APPLICATION = "application"


@dataclass(frozen=True)
class Featured:
    """One applicant with features."""

    applicant: Applicant
    features: Mapping[str, Any]
    states: Mapping[str, State]


@dataclass(frozen=True)
class FeatureSource:
    """Everything features come from, for one bundle and one set of published tables."""

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
            A lookup is needed and the published tables are not there.
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
        values: dict[int, dict[str, Any]] = {a.applicant_id: {} for a in applicants}
        states: dict[int, dict[str, State]] = {a.applicant_id: {} for a in applicants}
        self._compute(applicants, values, states)
        self._look_up(applicants, values, states)
        found: list[Featured] = []
        errors: list[FieldError] = []
        for applicant in applicants:
            state = states[applicant.applicant_id]
            if state[APPLICATION] == "no_history":
                message = "no published features have this id; send the application instead"
                errors.append(FieldError(applicant.table, "unknown_applicant", message, applicant.row))
                continue
            features = values[applicant.applicant_id] | {
                flag: state[family] != "no_history" for flag, family in self.plan["presence"].items()
            }
            found.append(Featured(applicant, features, state))
        return found, errors

    def _compute(
        self, applicants: Sequence[Applicant], values: dict[int, dict[str, Any]], states: dict[int, dict[str, State]]
    ) -> None:
        """Compute what was sent: all families where histories came too, the application family alone otherwise."""
        whole = [a for a in applicants if a.histories]
        alone = [a for a in applicants if not a.histories and a.application is not None]
        if whole:
            rows: dict[str, list[Mapping[str, Any]]] = {}
            for applicant in whole:
                for table, sent in applicant.histories.items():
                    rows.setdefault(table, []).extend(sent)
            columns = self.engine.compute([a.application or {APPLICANT: a.applicant_id} for a in whole], rows)
            self._take(whole, columns, self.plan["families"], values)
            for flag, family in self.plan["presence"].items():
                for applicant, found in zip(whole, columns[flag], strict=True):
                    states[applicant.applicant_id][family] = "sent" if found else "no_history"
        if alone:
            columns = self.engine.compute_application([a.application or {} for a in alone])
            self._take(alone, columns, [APPLICATION], values)
        for applicant in applicants:
            if applicant.application is not None:
                states[applicant.applicant_id][APPLICATION] = "sent"

    def _take(
        self,
        applicants: Sequence[Applicant],
        columns: Mapping[str, Sequence[Any]],
        families: Iterable[str],
        values: dict[int, dict[str, Any]],
    ) -> None:
        for family in families:
            names = [name for name, _ in self.plan["families"][family]["columns"]]
            for place, applicant in enumerate(applicants):
                if family == APPLICATION and applicant.application is None:
                    continue
                values[applicant.applicant_id].update((name, columns[name][place]) for name in names)

    def _look_up(
        self, applicants: Sequence[Applicant], values: dict[int, dict[str, Any]], states: dict[int, dict[str, State]]
    ) -> None:
        """Look up every family that was not computed."""
        for family in self.plan["families"]:
            wanted = [a.applicant_id for a in applicants if family not in states[a.applicant_id]]
            if not wanted:
                continue
            if self.published is None:
                raise NotReadyError("the published feature tables are not readable; GET /ready says why")
            rows = self.published.find(family, wanted)
            absent = dict.fromkeys(self.published.families[family].columns)
            for applicant in wanted:
                values[applicant].update(rows.get(applicant, absent))
                states[applicant][family] = "present" if applicant in rows else "no_history"
