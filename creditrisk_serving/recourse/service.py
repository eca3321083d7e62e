"""Recourse for a stored decision: find it, score its application again, search, answer.

What belongs here: which decisions recourse is for, the answer. What does not: the search (`search`), actions (`actions`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from creditrisk_assets.modelling.bundle import Bundle
from creditrisk_serving.decisions.log import DecisionLog
from creditrisk_serving.decisions.schemas import DecisionRecord
from creditrisk_serving.errors import (
    DecisionNotFoundError,
    FieldError,
    InvalidRecourseError,
    MalformedBodyError,
    NoRecourseError,
)
from creditrisk_serving.recourse.actions import Actions, Step, load_actions, taken
from creditrisk_serving.recourse.schemas import Change, ChangedField, Recourse, RecourseRequest, Suggestion
from creditrisk_serving.recourse.search import MOST_TRIES, Found, Search, Way, body_of
from creditrisk_serving.scoring.service import Scored, Scoring


def recourse(log: DecisionLog, scoring: Scoring, body: bytes, request_id: str) -> bytes:
    """Say what would change a stored decision, and return the answer's JSON; nothing is decided, stored or counted as a decision.

    Raises
    ------
    ServiceError
        There is no such decision, it needs no recourse, what was sent is not known, or it cannot be scored now.
    """
    record = _record(log, _parse(body))
    sent = _sent(record)
    champion, actions = scoring.champion(), load_actions()

    def rescore(application: Mapping[str, Any]) -> Scored | None:
        return scoring.estimate(champion, body_of(application))

    now = rescore(sent)
    if now is None:
        raise NoRecourseError(
            "the model in use does not take this application as it was sent; send it to POST /validate"
        )
    bundle, found = champion.bundle, Found([], 1, None)
    if now.outcome.decision != "approve":
        found = Search(actions, bundle.features, sent, now, rescore).run()
    return msgspec.json.encode(
        Recourse(
            request_id=request_id,
            decision_id=record.decision_id,
            decision=record.decision,
            model_version=bundle.version,
            policy_version=champion.policy_version,
            pd_now=now.pd,
            outcome_now=now.outcome.decision,
            suggestions=[_suggestion(way, bundle) for way in found.ways],
            none_because=None if found.ways else _why_none(now, found),
            tried=found.tries,
            out_of_reach=_out_of_reach(record, bundle, found),
            fixed=actions.fixed,
            not_tried=_not_tried(actions, sent),
        )
    )


def _parse(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=RecourseRequest).decision_id
    except msgspec.ValidationError:  # its words may quote what was sent
        message = "the id of a decision, 1 to 64 characters, and nothing else"
        raise InvalidRecourseError(
            "nothing was looked for", [FieldError("recourse", "form", message, column="decision_id")]
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise MalformedBodyError("the body is not JSON") from None


def _record(log: DecisionLog, decision_id: str) -> DecisionRecord:
    if (record := log.find(decision_id)) is None:
        raise DecisionNotFoundError("no decision has this id; it is the decision_id of an answer of POST /predict")
    if record.decision == "approve":
        raise NoRecourseError("it is approved; nothing has to change")
    return record


def _sent(record: DecisionRecord) -> Mapping[str, Any]:
    if record.input is None:
        raise NoRecourseError("what was sent for it was erased")
    if record.input["application"] is None:
        raise NoRecourseError(
            "the application was looked up by its id; send the application to POST /predict, then ask of that"
        )
    return record.input


def _suggestion(way: Way, bundle: Bundle) -> Suggestion:
    outcome, pd = way.scored.outcome, way.scored.pd
    return Suggestion(
        changes=[
            Change(
                action=step.action.name,
                text=step.action.text,
                fields=[ChangedField(table=m.table, column=m.column, before=m.before, after=m.after) for m in moves],
            )
            for step, moves in zip(way.steps, way.moves, strict=True)
        ],
        pd=pd,
        outcome=outcome.decision,
        band=outcome.band,
        rule=outcome.rule,
        points=bundle.policy.score.points(pd),
    )


def _why_none(now: Scored, found: Found) -> str:
    if now.outcome.decision == "approve":
        return "the model in use would approve it as it was sent; send it again to have it decided"
    return (
        f"none of {found.tries - 1} combinations of changes within the bounds leads to a better outcome"
        f" (at most {MOST_TRIES - 1} are tried); what raised the PD lies elsewhere"
    )


def _out_of_reach(record: DecisionRecord, bundle: Bundle, found: Found) -> Sequence[str]:
    """Name the inputs that raised the PD and that no try moved."""
    raised = (record.features or {}).get("contributions") or ()
    if found.moved is None:
        return ()
    moved = {name for name, changed in zip(bundle.feature_names, found.moved.tolist(), strict=True) if changed}
    return [name for name, _ in raised if name not in moved]


def _not_tried(actions: Actions, sent: Mapping[str, Any]) -> list[str]:
    return [
        f"{action.text} What it would change was not sent, or leaves the bounds."
        for action in actions.actions
        if all(taken(actions, sent, (Step(action, factor),)) is None for factor in action.factors)
    ]
