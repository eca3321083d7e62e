"""Notices of adverse action: which decisions need one, issuing it, reading it, what is due.

What belongs here: the rules of when, storing. What does not: words (`letter`), the lender (`lender`), the log (`decisions`).
"""

import hashlib
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from creditrisk_assets.modelling.bundle import MANIFEST
from creditrisk_assets.modelling.policy import Policy, parse_policy
from creditrisk_serving.decisions.database import FAILURES
from creditrisk_serving.decisions.log import DecisionLog, new_decision_id
from creditrisk_serving.decisions.schemas import DecisionRecord, NoticeRecord, Review
from creditrisk_serving.errors import (
    DecisionNotFoundError,
    DecisionNotStoredError,
    NoticeNotFoundError,
    NoticeRefusedError,
)
from creditrisk_serving.notices.lender import LenderError, read_lender
from creditrisk_serving.notices.letter import DAYS, LetterError, due_by, letter, render
from creditrisk_serving.notices.pdf import FontError, render_pdf
from creditrisk_serving.settings import ServingSettings

POLICY = "policy.json"


class Due(NamedTuple):
    """A decision whose applicant was not told yet."""

    decision_id: str
    decided_at: str
    due_by: str
    days_left: int  # below 0: too late


def issue(
    log: DecisionLog,
    settings: ServingSettings,
    decision_id: str,
    *,
    request_id: str,
    caller: str,
    now: datetime | None = None,
) -> NoticeRecord:
    """Return the notice of a decision; it is made and stored if there is none yet.

    Parameters
    ----------
    log
        A started log.
    settings
        Where the lender's facts and published bundles are.
    decision_id
        A decline, or a referral that a person declined.
    request_id, caller
        Who asks.
    now
        The moment; by default the present one.

    Raises
    ------
    ServiceError
        There is no such decision, it gets no notice, a fact a notice must state is missing, or it cannot be stored.
    """
    if there := log.notices(decision_id):
        return _readable(there[0])
    if (record := log.find(decision_id)) is None:
        raise DecisionNotFoundError("no decision has this id; it is the decision_id of an answer of POST /predict")
    review = _declined_by(log, record)
    if record.input is None:
        raise NoticeRefusedError("what it rested on was erased, so nothing can be said of it any more")
    return issue_for(log, settings, record, review, request_id=request_id, caller=caller, now=now or datetime.now(UTC))


def issue_for(
    log: DecisionLog,
    settings: ServingSettings,
    record: DecisionRecord,
    review: Review | None,
    *,
    request_id: str,
    caller: str,
    now: datetime,
) -> NoticeRecord:
    """Make and store the notice of a decision that gets one and has none.

    Raises
    ------
    ServiceError
        A fact a notice must state is missing, or it cannot be stored.
    """
    try:
        lender = read_lender(settings.notice)
        policy = _policy_of(settings.platform.bundles, record)
        document = render(letter(record, review, lender, policy, now))
    except (LenderError, LetterError) as error:
        raise NoticeRefusedError(str(error)) from error
    made = NoticeRecord(
        decision_id=record.decision_id,
        notice_id=new_decision_id(),
        applicant_id=record.applicant_id,
        request_id=request_id,
        issued_at=now.isoformat(timespec="microseconds"),
        due_by=due_by(record).isoformat(),
        caller=caller,
        jurisdiction=lender.jurisdiction,
        document_sha256=hashlib.sha256(document.encode()).hexdigest(),
        document=document,
    )
    log.issue(made)
    return made


def read(log: DecisionLog, decision_id: str) -> NoticeRecord:
    """Return the notice of a decision.

    Raises
    ------
    ServiceError
        None was issued, or it cannot be read.
    """
    if not (found := log.notices(decision_id)):
        raise NoticeNotFoundError("no notice was issued for this decision; POST here issues it")
    return _readable(found[0])


def as_pdf(document: str, issued_at: str, settings: ServingSettings) -> bytes:
    """Render a notice as PDF, in the lender's font.

    Raises
    ------
    NoticeRefusedError
        The font cannot be read or lacks letters, or the lender's file cannot be read.
    """
    try:
        return render_pdf(document, issued_at, read_lender(settings.notice).font)
    except (FontError, LenderError) as error:
        raise NoticeRefusedError(str(error)) from error


def due(log: DecisionLog, today: date) -> list[Due]:
    """List the declines whose applicants were not told yet, the most urgent first.

    Raises
    ------
    DecisionNotStoredError
        The log cannot be read.
    """
    try:
        found = log.database.without_notice()
    except FAILURES as error:
        raise DecisionNotStoredError("the decision log cannot be read; try again later") from error
    listed = []
    for decision_id, decided_at in found:
        last = datetime.fromisoformat(decided_at).date() + timedelta(days=DAYS)
        listed.append(Due(decision_id, decided_at, last.isoformat(), (last - today).days))
    return listed


def _readable(notice: NoticeRecord) -> NoticeRecord:
    if notice.document is None:
        raise NoticeRefusedError(
            "its notice was erased with the applicant's data; that one was issued stays in the log"
        )
    return notice


def _declined_by(log: DecisionLog, record: DecisionRecord) -> Review | None:
    """Return the review that declined a referral; None: the policy declined."""
    if record.decision == "approve":
        raise NoticeRefusedError("it is approved; a notice is of credit that is declined")
    if record.decision == "decline":
        return None
    reviews = log.reviews(record.decision_id)
    if not reviews:
        raise NoticeRefusedError("a person has not decided this referral yet; review it first")
    if reviews[-1].outcome != "decline":
        raise NoticeRefusedError("a person approved this referral; a notice is of credit that is declined")
    return reviews[-1]


def _policy_of(bundles: Path, record: DecisionRecord) -> Policy:
    """Read the policy that decided, from the bundle whose hash the decision holds.

    Raises
    ------
    NoticeRefusedError
        The bundle is not there, or is another one.
    """
    path = bundles / record.model_version
    try:
        manifest, content = (path / MANIFEST).read_bytes(), (path / POLICY).read_bytes()
    except OSError:
        raise NoticeRefusedError(
            f"the bundle {record.model_version} that decided is not there any more; bring it back from a copy"
        ) from None
    hashes = json.loads(manifest)["files"] if hashlib.sha256(manifest).hexdigest() == record.bundle_sha256 else {}
    if hashes.get(POLICY) != hashlib.sha256(content).hexdigest():
        raise NoticeRefusedError(
            f"the bundle {record.model_version} is not the one that decided; look for a copy of that one"
        )
    return parse_policy(json.loads(content), where=f"{path}/{POLICY}")
