"""Scoring a request: parse, features, score, decide, store, answer.

What belongs here: the order of the steps, and that nothing leaves before it is stored. What does not: each step
itself, HTTP.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from creditrisk_assets.modelling.bundle import Bundle, EncodingError
from creditrisk_assets.modelling.policy import Decision
from creditrisk_assets.modelling.score_points import ScorePoints
from creditrisk_serving.access import Caller
from creditrisk_serving.decisions.idempotency import Claim, IdempotencyKeys
from creditrisk_serving.decisions.log import DecisionLog, new_decision_id
from creditrisk_serving.decisions.schemas import DecisionRecord
from creditrisk_serving.errors import (
    MAX_ERRORS,
    DecisionUncertainError,
    FieldError,
    InvalidApplicationError,
    NotReadyError,
    ServiceError,
)
from creditrisk_serving.observability import Metrics, RequestState
from creditrisk_serving.scoring.champion import Champion, Follower
from creditrisk_serving.scoring.features import Featured
from creditrisk_serving.scoring.parsing import Limits, Parsed, lone_applicant, parse
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
        return None if applicant is None or found is None else Ready(champion, Parsed([applicant], [], 1), *found)

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
        champion, parsed, featured, errors = ready or self._prepared(body, state)
        state.model_version, state.entities = champion.bundle.version, parsed.asked
        scored, unscored = self._scored(champion, featured)
        errors = [*parsed.errors, *errors, *unscored]
        if not scored:
            raise self._counted(
                InvalidApplicationError("no applicant could be scored; each error names its place and rule", errors)
            )
        records = self._records(champion, scored, state, caller)
        answer = _ENCODER.encode(
            Prediction(
                request_id=state.request_id,
                model_version=champion.bundle.version,
                bundle_sha256=champion.bundle_sha256,
                policy_version=champion.policy_version,
                scored=len(records),
                failed=parsed.asked - len(records),
                decisions=[
                    _answer(record, one, champion.bundle.policy.score)
                    for record, one in zip(records, scored, strict=True)
                ],
                errors=errors[:MAX_ERRORS],
                errors_total=len(errors),
            )
        )
        self._log.store(records, claim.answered(answer) if claim else None)
        self._count(records, errors)
        return answer

    def what_if(self, body: bytes, state: RequestState) -> bytes:
        """Score a request as `predict` does and return the answer's JSON; nothing is decided, stored or counted as a decision.

        Raises
        ------
        ServiceError
            Nothing was scored; see `errors`.
        """
        champion, parsed, featured, errors = self._prepared(body, state)
        scored, unscored = self._scored(champion, featured)
        errors = [*parsed.errors, *errors, *unscored]
        if not scored:
            raise self._counted(
                InvalidApplicationError("no applicant could be scored; each error names its place and rule", errors)
            )
        self._count_errors(errors)
        return msgspec.json.encode(
            WhatIf(
                request_id=state.request_id,
                model_version=champion.bundle.version,
                bundle_sha256=champion.bundle_sha256,
                policy_version=champion.policy_version,
                scored=len(scored),
                failed=parsed.asked - len(scored),
                estimates=[_estimate(champion, one) for one in scored],
                errors=errors[:MAX_ERRORS],
                errors_total=len(errors),
            )
        )

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
        return Ready(
            champion, parsed, *(champion.source.features(parsed.applicants) if parsed.applicants else ([], []))
        )

    @staticmethod
    def _scored(champion: Champion, featured: Sequence[Featured]) -> "tuple[list[Scored], list[FieldError]]":
        """Compute PDs; an applicant whose features the model does not take gets an error."""
        bundle = champion.bundle
        fit: list[Featured] = []
        packed: list[bytes] = []
        errors: list[FieldError] = []
        for one in featured:
            try:
                packed.append(bundle.encoder.pack(one.features))
                fit.append(one)
            except EncodingError as error:  # it names the feature, never the value
                message = f"the application gives no finite features: {error}"
                errors.append(FieldError(one.applicant.table, "not_computable", message, one.applicant.row))
        scores = bundle.score_packed(packed).tolist()
        return [
            Scored(one, pd, champion.ranges.outside(one.features, row))
            for one, pd, row in zip(fit, scores, packed, strict=True)
        ], errors

    @staticmethod
    def _records(
        champion: Champion, scored: "Sequence[Scored]", state: RequestState, caller: Caller
    ) -> list[DecisionRecord]:
        bundle, slots = champion.bundle, champion.source.slots
        ruled = [rule.feature for rule in bundle.policy.eligibility]
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        versions = champion.published.versions if champion.published else {}
        records = []
        for one, pd, _ in scored:
            outcome = bundle.policy.decide(pd, slots.named(one.features, ruled))
            features: Any = msgspec.Raw(slots.render(one.features))  # rendered once, here, and never parsed again
            records.append(
                DecisionRecord(
                    decision_id=new_decision_id(),
                    request_id=state.request_id,
                    decided_at=now,
                    applicant_id=one.applicant.applicant_id,
                    caller=caller.key_id,
                    model_version=bundle.version,
                    bundle_sha256=champion.bundle_sha256,
                    policy_version=champion.policy_version,
                    pd=pd,
                    decision=outcome.decision,
                    band=outcome.band,
                    rule=outcome.rule,
                    families=one.states,
                    feature_versions={name: versions[name] for name in _looked_up(one)},
                    input={"application": one.applicant.application, "histories": one.applicant.histories},
                    features=features,
                )
            )
        return records

    def _counted(self, error: ServiceError) -> ServiceError:
        self._count_errors(error.errors)
        return error

    def _count(self, records: Sequence[DecisionRecord], errors: Sequence[FieldError]) -> None:
        for record in records:
            self._metrics.decisions[record.decision, record.band].inc()
            self._metrics.pd.observe(record.pd)
            for family in record.families.items():
                self._metrics.families[family].inc()
        self._count_errors(errors)

    def _count_errors(self, errors: Sequence[FieldError]) -> None:
        for error in errors:
            self._metrics.field_errors[error.table, error.rule].inc()


class Scored(NamedTuple):
    """An applicant with a PD."""

    featured: Featured
    pd: float
    outside: list[str]  # inputs beyond what the training saw


class Ready(NamedTuple):
    """A request with everything a score takes, and the champion it is scored by."""

    champion: Champion
    parsed: Parsed
    featured: list[Featured]
    errors: list[FieldError]


def score_columns(bundle: Bundle, columns: Mapping[str, Any]) -> NDArray[np.float64]:
    """Score features held by column; requests are scored by row, to the same bits.

    Raises
    ------
    EncodingError
        The features do not fit the model.
    """
    return bundle.score(bundle.encode(columns))


def _looked_up(one: Featured) -> list[str]:
    """Name the families this applicant was looked up in, whether or not it was found."""
    sent = {"application"} if one.applicant.application is not None else set()
    if one.applicant.histories:
        sent |= set(one.states) - {"application"}
    return [name for name in one.states if name not in sent]


def _decided(champion: Champion, one: Scored) -> Decision:
    """Apply the policy to a scored applicant."""
    policy = champion.bundle.policy
    ruled = [rule.feature for rule in policy.eligibility]
    return policy.decide(one.pd, champion.source.slots.named(one.featured.features, ruled))


def _estimate(champion: Champion, one: Scored) -> Estimate:
    outcome = _decided(champion, one)
    return Estimate(
        applicant_id=one.featured.applicant.applicant_id,
        table=one.featured.applicant.table,
        row=one.featured.applicant.row,
        pd=one.pd,
        outcome=outcome.decision,
        band=outcome.band,
        rule=outcome.rule,
        points=champion.bundle.policy.score.points(one.pd),
        families=one.featured.states,
        outside_training=one.outside,
    )


def _answer(record: DecisionRecord, scored: Scored, scale: ScorePoints) -> ScoredApplicant:
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
        model_version=record.model_version,
        policy_version=record.policy_version,
    )
