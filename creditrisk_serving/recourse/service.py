"""Recourse for a stored decision or a known applicant: find it, score it again, search, answer.

What belongs here: which decisions recourse is for, the answer. What does not: the search (`search`), actions (`actions`), features of
applicants who are looked up (`known`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

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
from creditrisk_serving.recourse.known import KnownApplicant
from creditrisk_serving.recourse.schemas import Change, ChangedField, Recourse, RecourseRequest, Suggestion
from creditrisk_serving.recourse.search import MOST_TRIES, Found, Rescore, Search, Way, body_of
from creditrisk_serving.scoring.champion import Champion
from creditrisk_serving.scoring.contributions import adverse_contributions
from creditrisk_serving.scoring.service import Scored, Scoring


class _Asked(NamedTuple):
    """What recourse is looked for: an application, and how a changed one is scored."""

    sent: Mapping[str, Any]
    now: Scored
    rescore: Rescore


def recourse(log: DecisionLog, scoring: Scoring, body: bytes, request_id: str) -> bytes:
    """Say what would change a decision, or that of a known applicant, and return the answer's JSON; nothing is decided or stored.

    Raises
    ------
    ServiceError
        There is no such decision, it needs no recourse, what was sent is not known, or it cannot be scored now.
    """
    asked = _parse(body)
    record = None if asked.decision_id is None else _record(log, asked.decision_id)
    champion, actions = scoring.champion(), load_actions()
    one = _asked(scoring, champion, actions, record, asked.applicant_id)
    bundle, now, found = champion.bundle, one.now, Found([], 1, None)
    if now.outcome.decision != "approve":
        found = Search(actions, bundle.features, one.sent, now, one.rescore).run()
    return msgspec.json.encode(
        Recourse(
            request_id=request_id,
            decision_id=None if record is None else record.decision_id,
            decision=None if record is None else record.decision,
            applicant_id=now.featured.applicant.applicant_id,
            families=now.featured.states,
            model_version=bundle.version,
            policy_version=champion.policy_version,
            stored=False,
            pd_now=now.pd,
            outcome_now=now.outcome.decision,
            suggestions=[_suggestion(way, bundle) for way in found.ways],
            none_because="" if found.ways else _why_none(now, found),
            tried=found.tries,
            out_of_reach=_out_of_reach(_raised(record, bundle, now), bundle, found),
            fixed=actions.fixed,
            not_tried=_not_tried(actions, one.sent),
        )
    )


def _parse(body: bytes) -> RecourseRequest:
    message = "a decision_id of 1 to 64 characters or an applicant_id, one of the two and nothing else"
    try:
        asked = msgspec.json.decode(body, type=RecourseRequest)
    except msgspec.ValidationError:  # its words may quote what was sent
        asked = RecourseRequest()
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise MalformedBodyError("the body is not JSON") from None
    if (asked.decision_id is None) == (asked.applicant_id is None):
        raise InvalidRecourseError(
            "nothing was looked for", [FieldError("recourse", "form", message, column="decision_id")]
        )
    return asked


def _record(log: DecisionLog, decision_id: str) -> DecisionRecord:
    if (record := log.find(decision_id)) is None:
        raise DecisionNotFoundError("no decision has this id; it is the decision_id of an answer of POST /predict")
    if record.decision == "approve":
        raise NoRecourseError("it is approved; nothing has to change")
    if record.input is None:
        raise NoRecourseError("what was sent for it was erased")
    return record


def _asked(
    scoring: Scoring, champion: Champion, actions: Actions, record: DecisionRecord | None, applicant_id: int | None
) -> _Asked:
    """Find the application that recourse is looked for, as it was sent or as it is read back from published features."""

    def rescore(application: Mapping[str, Any]) -> Scored | None:
        return scoring.estimate(champion, body_of(application))

    sent = None if record is None else record.input
    if sent is not None and sent["application"] is not None:
        if (now := rescore(sent)) is None:
            raise NoRecourseError(
                "the model in use does not take this application as it was sent; send it to POST /validate"
            )
        return _Asked(sent, now, rescore)
    if sent is not None and sent["histories"]:
        raise NoRecourseError(
            "histories were sent for an application that was looked up; send the application to POST /predict, then ask of that"
        )
    known = applicant_id if record is None else record.applicant_id
    now = scoring.estimate(champion, msgspec.json.encode({"applicant_ids": [known]}))
    if now is None:
        raise NoRecourseError(
            "no published features have this id; send the application to POST /predict, then ask of that"
        )
    applicant = KnownApplicant(champion, now, actions.read_back)
    return _Asked(applicant.sent, now, applicant.rescore)


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
        return "the model in use would approve it as it is; have it decided again"
    return (
        f"none of {found.tries - 1} combinations of changes within the bounds leads to a better outcome"
        f" (at most {MOST_TRIES - 1} are tried); what raised the PD lies elsewhere"
    )


def _raised(record: DecisionRecord | None, bundle: Bundle, now: Scored) -> Sequence[str]:
    """Name the inputs that raised the PD most: those told with the decision, or those of a known applicant now."""
    if record is not None:
        return [name for name, _ in (record.features or {}).get("contributions") or ()]
    (adverse,) = adverse_contributions(bundle, [now.numbers], [now.margin])
    return [] if adverse is None else [name for name, _ in adverse.contributions]


def _out_of_reach(raised: Sequence[str], bundle: Bundle, found: Found) -> Sequence[str]:
    """Name the inputs among those that raised the PD that no try moved."""
    if found.moved is None:
        return ()
    moved = {name for name, changed in zip(bundle.feature_names, found.moved.tolist(), strict=True) if changed}
    return [name for name in raised if name not in moved]


def _not_tried(actions: Actions, sent: Mapping[str, Any]) -> list[str]:
    return [
        f"{action.text} What it would change was not sent, or leaves the bounds."
        for action in actions.actions
        if all(taken(actions, sent, (Step(action, factor),)) is None for factor in action.factors)
    ]
