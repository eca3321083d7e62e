"""Scoring a request: parse, features, score, decide, store, answer.

What belongs here: the order of the steps, and that nothing leaves before it is stored. What does not: each step
itself, HTTP.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from creditrisk_assets.modelling.bundle import Bundle, EncodingError
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
from creditrisk_serving.scoring.parsing import Limits, Parsed, parse
from creditrisk_serving.scoring.schemas import Prediction, ScoredApplicant, Validation


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
            return self.predict(body, state, caller, claim), False
        except DecisionUncertainError:
            raise  # the answer may come to the log yet: the key stays taken until it does, or the claim runs out
        except BaseException:
            self._idempotency.release(claim)
            raise

    def predict(self, body: bytes, state: RequestState, caller: Caller, claim: Claim | None = None) -> bytes:
        """Score a request and return the answer's JSON; every decision in it is stored.

        Raises
        ------
        ServiceError
            Nothing was scored; see `errors`.
        """
        champion = self.champion()
        state.model_version = champion.bundle.version
        parsed = self._parse(body, champion, state)
        featured, errors = champion.source.features(parsed.applicants) if parsed.applicants else ([], [])
        records = self._decide(champion, featured, state, caller)
        errors = [*parsed.errors, *errors]
        if not records:
            raise self._counted(
                InvalidApplicationError("no applicant could be scored; each error names its place and rule", errors)
            )
        answer = msgspec.json.encode(
            Prediction(
                request_id=state.request_id,
                model_version=champion.bundle.version,
                bundle_sha256=champion.bundle_sha256,
                policy_version=champion.policy_version,
                scored=len(records),
                failed=parsed.asked - len(records),
                decisions=[
                    _answer(record, one, champion.bundle.policy.score)
                    for record, one in zip(records, featured, strict=True)
                ],
                errors=errors[:MAX_ERRORS],
                errors_total=len(errors),
            )
        )
        self._log.store(records, claim.answered(answer) if claim else None)
        self._count(records, errors)
        return answer

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
            parsed = parse(body, champion.rules, self._limits)
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

    def _parse(self, body: bytes, champion: Champion, state: RequestState) -> Parsed:
        try:
            parsed = parse(body, champion.rules, self._limits)
        except ServiceError as error:
            raise self._counted(error) from error.__cause__
        state.entities = parsed.asked
        return parsed

    def _decide(
        self, champion: Champion, featured: Sequence[Featured], state: RequestState, caller: Caller
    ) -> list[DecisionRecord]:
        if not featured:
            return []
        bundle = champion.bundle
        try:
            scores = score_columns(
                bundle, {name: [one.features[name] for one in featured] for name in bundle.feature_names}
            )
        except EncodingError as error:  # it names the feature, never the value
            raise InvalidApplicationError(f"an application gives no finite features: {error}") from None
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        versions = champion.published.versions if champion.published else {}
        records = []
        for one, pd in zip(featured, scores.tolist(), strict=True):
            outcome = bundle.policy.decide(pd, one.features)
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
                    features={name: one.features[name] for name in bundle.needed_names},
                )
            )
        return records

    def _counted(self, error: ServiceError) -> ServiceError:
        self._count_errors(error.errors)
        return error

    def _count(self, records: Sequence[DecisionRecord], errors: Sequence[FieldError]) -> None:
        for record in records:
            self._metrics.decisions.labels(record.decision, record.band).inc()
            self._metrics.pd.observe(record.pd)
        for (family, state), count in Counter(pair for record in records for pair in record.families.items()).items():
            self._metrics.families.labels(family, state).inc(count)
        self._count_errors(errors)

    def _count_errors(self, errors: Sequence[FieldError]) -> None:
        for (table, rule), count in Counter((error.table, error.rule) for error in errors).items():
            self._metrics.field_errors.labels(table, rule).inc(count)


def score_columns(bundle: Bundle, columns: Mapping[str, Any]) -> NDArray[np.float64]:
    """Score features held by column: the one way from features to PDs, for requests and for batches.

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


def _answer(record: DecisionRecord, one: Featured, scale: ScorePoints) -> ScoredApplicant:
    return ScoredApplicant(
        decision_id=record.decision_id,
        applicant_id=record.applicant_id,
        table=one.applicant.table,
        row=one.applicant.row,
        pd=record.pd,
        decision=record.decision,
        band=record.band,
        rule=record.rule,
        points=scale.points(record.pd),
        families=record.families,
        model_version=record.model_version,
        policy_version=record.policy_version,
    )
