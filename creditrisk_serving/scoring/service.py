"""Scoring a request: parse, features, score, decide, store, answer.

What belongs here: the order of the steps, and that nothing leaves before it is stored. What does not: each step
itself, HTTP.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from creditrisk_assets.modelling.bundle import Bundle
from creditrisk_assets.modelling.policy import Decision
from creditrisk_assets.modelling.score_points import ScorePoints
from creditrisk_serving.access import Caller
from creditrisk_serving.decisions.idempotency import Claim, IdempotencyKeys
from creditrisk_serving.decisions.inputs import packed
from creditrisk_serving.decisions.log import DecisionLog, new_decision_id
from creditrisk_serving.decisions.schemas import Contribution, DecisionRecord, Reason, Shadowed
from creditrisk_serving.errors import (
    MAX_ERRORS,
    DecisionUncertainError,
    FieldError,
    InvalidApplicationError,
    NotReadyError,
    ServiceError,
)
from creditrisk_serving.observability import LOG, Metrics, RequestState
from creditrisk_serving.scoring.champion import Champion, Follower
from creditrisk_serving.scoring.contributions import adverse_contributions
from creditrisk_serving.scoring.features import Featured, Features
from creditrisk_serving.scoring.parsing import Applicant, Limits, Parsed, lone_applicant, parse
from creditrisk_serving.scoring.reasons import principal_reasons
from creditrisk_serving.scoring.schemas import Estimate, Prediction, ScoredApplicant, Validation, WhatIf

_ENCODER = msgspec.json.Encoder()


class Scoring:
    """Answers requests with the champion of the moment.

    Parameters
    ----------
    follower
        Who knows the champion; a request keeps the one it started with.
    log
        Where decisions are stored before they leave.
    limits
        How much one request may ask for.
    metrics
        Where decisions and broken rules are counted.
    """

    def __init__(self, follower: Follower, log: DecisionLog, limits: Limits, metrics: Metrics) -> None:
        self._follower = follower
        self._log = log
        self._limits = limits
        self._metrics = metrics
        self._idempotency = IdempotencyKeys(log)

    def champion(self) -> Champion:
        """Return the champion.

        Raises
        ------
        NotReadyError
            There is none.
        """
        champion = self._follower.standing.champion
        if champion is None:
            raise NotReadyError("no model is loaded yet; GET /ready says why")
        return champion

    def ready(self, body: bytes) -> "Ready | None":
        """Prepare a request that takes microseconds: one applicant, everything in memory or in a file of this machine.

        Returns
        -------
        Ready or None
            What `predict` takes; None: it takes longer, or an error must be told, so `predict` belongs on a thread.
        """
        champion = self._follower.standing.champion
        if champion is None or self._log.waits:
            return None
        applicant = lone_applicant(champion.reader.read(body))
        found = None if applicant is None else champion.source.at_once(applicant)
        return None if applicant is None or found is None else Ready(champion, Parsed([applicant], [], 1), found)

    def predict_once(self, body: bytes, state: RequestState, caller: Caller, key: str) -> tuple[bytes, bool]:
        """Score a request that was sent under an idempotency key, unless it was answered before.

        Returns
        -------
        tuple
            The answer's JSON, and whether it was given before.

        Raises
        ------
        ServiceError
            Nothing was scored; see `errors`.
        """
        claim = self._idempotency.claim(caller.key_id, key, body)
        if isinstance(claim, bytes):
            return claim, True
        try:
            return self.predict(body, state, caller, claim=claim), False
        except DecisionUncertainError:
            raise  # the answer may come to the log yet: the key stays taken until it does, or the claim runs out
        except BaseException:
            self._idempotency.release(claim)
            raise

    def predict(
        self,
        body: bytes,
        state: RequestState,
        caller: Caller,
        *,
        ready: "Ready | None" = None,
        claim: Claim | None = None,
    ) -> bytes:
        """Score a request and return the answer's JSON; every decision in it is stored.

        Parameters
        ----------
        body
            The request's body.
        state
            What is known of the request.
        caller
            Who asks.
        ready
            The same request prepared, if `ready` could.
        claim
            The idempotency key it was sent under.

        Raises
        ------
        ServiceError
            Nothing was scored; see `errors`.
        """
        champion, parsed, features = ready or self._prepared(body, state)
        state.model_version, state.entities = champion.bundle.version, parsed.asked
        scored, told, errors = self._judged(champion, parsed, features)
        shadowed = champion.shadow.judge(features) if champion.shadow is not None else {}
        records = self._records(champion, scored, told, shadowed, state, caller)
        answer = _ENCODER.encode(
            Prediction(
                request_id=state.request_id,
                model_version=champion.bundle.version,
                bundle_sha256=champion.bundle_sha256,
                policy_version=champion.policy_version,
                scored=len(records),
                failed=parsed.asked - len(records),
                decisions=[
                    _answer(record, one, because, champion.bundle.policy.score)
                    for record, one, because in zip(records, scored, told, strict=True)
                ],
                errors=errors[:MAX_ERRORS],
                errors_total=len(errors),
            )
        )
        self._log.store(records, claim.answered(answer) if claim else None, champion.layout)
        self._count(records, errors)
        return answer

    def what_if(self, body: bytes, state: RequestState) -> bytes:
        """Score a request as `predict` does and return the answer's JSON; nothing is decided, stored or counted as a decision.

        Raises
        ------
        ServiceError
            Nothing was scored; see `errors`.
        """
        champion, parsed, features = self._prepared(body, state)
        scored, told, errors = self._judged(champion, parsed, features)
        self._count_errors(errors)
        return msgspec.json.encode(
            WhatIf(
                request_id=state.request_id,
                model_version=champion.bundle.version,
                bundle_sha256=champion.bundle_sha256,
                policy_version=champion.policy_version,
                scored=len(scored),
                failed=parsed.asked - len(scored),
                estimates=[
                    _estimate(one, because, champion.bundle.policy.score)
                    for one, because in zip(scored, told, strict=True)
                ],
                errors=errors[:MAX_ERRORS],
                errors_total=len(errors),
            )
        )

    def estimate(self, champion: Champion, body: bytes) -> "Scored | None":
        """Score one application as `predict` does; nothing is decided, stored or counted. None: `predict` would refuse it."""
        try:
            parsed = parse(body, champion.rules, champion.reader, self._limits)
        except InvalidApplicationError:
            return None
        scored, _ = self._scored(champion, champion.source.features(parsed.applicants))
        return scored[0] if scored else None

    def validate(self, body: bytes, state: RequestState) -> bytes:
        """Check a request's form against the contract and return the answer's JSON.

        Raises
        ------
        ServiceError
            It is no JSON or too large; broken rules are the answer, not an error.
        """
        champion = self.champion()
        state.model_version = champion.bundle.version
        try:
            parsed = parse(body, champion.rules, champion.reader, self._limits)
        except InvalidApplicationError as error:
            parsed = Parsed([], list(error.errors), 0)
        state.entities = parsed.asked
        return msgspec.json.encode(
            Validation(
                request_id=state.request_id,
                model_version=champion.bundle.version,
                valid=not parsed.errors,
                applicants=parsed.asked,
                failed=parsed.asked - len(parsed.applicants),
                errors=parsed.errors[:MAX_ERRORS],
                errors_total=len(parsed.errors),
            )
        )

    def _prepared(self, body: bytes, state: RequestState) -> "Ready":
        champion = self.champion()
        state.model_version = champion.bundle.version
        try:
            parsed = parse(body, champion.rules, champion.reader, self._limits)
        except ServiceError as error:
            raise self._counted(error) from error.__cause__
        state.entities = parsed.asked
        return Ready(champion, parsed, champion.source.features(parsed.applicants))

    def _judged(
        self, champion: Champion, parsed: Parsed, features: Features
    ) -> "tuple[list[Scored], list[Because], list[FieldError]]":
        """Score applicants, say what raised the PDs of those who are not approved, and what was not scored.

        Raises
        ------
        InvalidApplicationError
            None was scored.
        """
        scored, unscored = self._scored(champion, features)
        errors = [*parsed.errors, *features.errors, *unscored]
        if not scored:
            raise self._counted(
                InvalidApplicationError("no applicant could be scored; each error names its place and rule", errors)
            )
        return scored, self._because(champion.bundle, scored), errors

    @staticmethod
    def _scored(champion: Champion, features: Features) -> "tuple[list[Scored], list[FieldError]]":
        """Compute PDs; an applicant whose features the model does not take gets an error."""
        if not features.featured:
            return [], []
        slots = champion.source.slots
        numbers, unseen = slots.seen(features.matrix)
        margins = champion.bundle.booster.margins(numbers).tolist()
        pds = map(champion.bundle.calibrator.pd, margins)
        outside = champion.ranges.outside(numbers, unseen)
        ruled = [rule.feature for rule in champion.bundle.policy.eligibility]
        found: list[Scored] = []
        errors: list[FieldError] = []
        rows = zip(features.featured, margins, pds, outside, numbers, features.matrix, strict=True)
        for one, margin, pd, beyond, row, values in rows:
            # What is infinite lies beyond what the training saw. The name is told, never the value.
            if beyond and (name := slots.infinite(values)) is not None:
                message = f"the application gives no finite features: {name} is infinite"
                errors.append(FieldError(one.applicant.table, "not_computable", message, one.applicant.row))
            else:
                seen = slots.named(values, ruled)
                found.append(Scored(one, margin, pd, beyond, row, seen, champion.bundle.policy.decide(pd, seen)))
        return found, errors

    def _because(self, bundle: Bundle, scored: "Sequence[Scored]") -> "list[Because]":
        """Say why those were not approved who were not."""
        places = [place for place, one in enumerate(scored) if one.outcome.decision != "approve"]
        told = [Because()] * len(scored)
        if not places:
            return told
        rows, margins = [scored[place].numbers for place in places], [scored[place].margin for place in places]
        adverse = adverse_contributions(bundle, rows, margins)
        for place, row, found in zip(places, rows, adverse, strict=True):
            one, every = scored[place], None if found is None else found.every
            reasons = principal_reasons(bundle, one.outcome, one.pd, every, row)
            told[place] = Because(None if found is None else found.contributions, reasons)
        if bundle.explainer is not None and (missing := adverse.count(None)):
            self._metrics.unexplained.inc(missing)
            LOG.error("contributions_do_not_add_up", extra={"fields": {"model_version": bundle.version}})
        return told

    @staticmethod
    def _records(
        champion: Champion,
        scored: "Sequence[Scored]",
        told: "Sequence[Because]",
        shadowed: Mapping[int, Shadowed],
        state: RequestState,
        caller: Caller,
    ) -> list[DecisionRecord]:
        bundle = champion.bundle
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        versions = champion.published.versions if champion.published else {}
        layout, _ = champion.layout
        records = []
        for one, because in zip(scored, told, strict=True):
            applicant, states = one.featured
            # Rendered once, here, and never parsed again.
            features: Any = packed(layout, one.numbers, one.ruled, because.contributions)
            records.append(
                DecisionRecord(
                    decision_id=new_decision_id(),
                    request_id=state.request_id,
                    decided_at=now,
                    applicant_id=applicant.applicant_id,
                    caller=caller.key_id,
                    model_version=bundle.version,
                    bundle_sha256=champion.bundle_sha256,
                    policy_version=champion.policy_version,
                    pd=one.pd,
                    decision=one.outcome.decision,
                    band=one.outcome.band,
                    rule=one.outcome.rule,
                    families=states,
                    feature_versions={name: versions[name] for name in _looked_up(one.featured)},
                    input=_sent(applicant),
                    features=features,
                    latency_ms=round((time.perf_counter() - state.started) * 1000, 3),
                    reasons=because.reasons,
                    shadow=shadowed.get(applicant.applicant_id),
                )
            )
        return records

    def _counted(self, error: ServiceError) -> ServiceError:
        self._count_errors(error.errors)
        return error

    def _count(self, records: Sequence[DecisionRecord], errors: Sequence[FieldError]) -> None:
        for outcome, count in Counter((record.decision, record.band) for record in records).items():
            self._metrics.decisions[outcome].inc(count)
        for state, count in Counter(chain.from_iterable(record.families.items() for record in records)).items():
            self._metrics.families[state].inc(count)
        for record in records:
            self._metrics.pd.observe(record.pd)
            for reason in record.reasons or ():
                self._metrics.reasons[reason.code,].inc()
        self._count_errors(errors)

    def _count_errors(self, errors: Sequence[FieldError]) -> None:
        for error in errors:
            self._metrics.field_errors[error.table, error.rule].inc()


class Scored(NamedTuple):
    """An applicant with a PD."""

    featured: Featured
    margin: float
    pd: float
    outside: list[str]  # inputs beyond what the training saw
    numbers: NDArray[np.float32]  # the inputs as the model saw them
    ruled: Mapping[str, float | None]  # what hard rules look at
    outcome: Decision


class Because(NamedTuple):
    """Why an applicant was not approved; nothing where there is nothing to say, or nothing that may be said."""

    contributions: Sequence[tuple[str, float]] | None = None  # features and what each adds to the margin
    reasons: list[Reason] | None = None

    def named(self) -> list[Contribution] | None:
        """Return the contributions as they are answered."""
        return None if self.contributions is None else [Contribution(*one) for one in self.contributions]


class Ready(NamedTuple):
    """A request with everything a score takes, and the champion it is scored by."""

    champion: Champion
    parsed: Parsed
    features: Features


def _sent(applicant: Applicant) -> dict[str, Any]:
    """Give what was sent for an applicant, without the columns that were left out or null."""
    sent = applicant.application
    return {
        "application": None if sent is None else {name: value for name, value in sent.items() if value is not None},
        "histories": applicant.histories,
    }


def _looked_up(one: Featured) -> list[str]:
    """Name the families this applicant was looked up in, whether or not it was found."""
    sent = {"application"} if one.applicant.application is not None else set()
    if one.applicant.histories:
        sent |= set(one.states) - {"application"}
    return [name for name in one.states if name not in sent]


def _estimate(one: Scored, because: Because, scale: ScorePoints) -> Estimate:
    return Estimate(
        applicant_id=one.featured.applicant.applicant_id,
        table=one.featured.applicant.table,
        row=one.featured.applicant.row,
        pd=one.pd,
        outcome=one.outcome.decision,
        band=one.outcome.band,
        rule=one.outcome.rule,
        points=scale.points(one.pd),
        families=one.featured.states,
        outside_training=one.outside,
        contributions=because.named(),
        reasons=because.reasons,
    )


def _answer(record: DecisionRecord, scored: Scored, because: Because, scale: ScorePoints) -> ScoredApplicant:
    return ScoredApplicant(
        decision_id=record.decision_id,
        applicant_id=record.applicant_id,
        table=scored.featured.applicant.table,
        row=scored.featured.applicant.row,
        pd=record.pd,
        decision=record.decision,
        band=record.band,
        rule=record.rule,
        points=scale.points(record.pd),
        families=record.families,
        outside_training=scored.outside,
        contributions=because.named(),
        reasons=because.reasons,
        model_version=record.model_version,
        policy_version=record.policy_version,
    )
