"""What a notice says: the facts of a decision and of the lender, complete, in the words of a template.

What belongs here: which facts, that none is missing, rendering HTML. What does not: which decision gets a notice (`service`), PDF (`pdf`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from creditrisk_assets.modelling.policy import Policy
from creditrisk_serving.decisions.schemas import DecisionRecord, Reason, Review
from creditrisk_serving.notices.lender import Lender

DAYS = 30  # after the application, 12 CFR 1002.9(a)(1)
MOST_REASONS = 4  # official interpretation of 12 CFR 1002.9(b)(2)
TEMPLATES = Path(__file__).with_name("templates")
AGENCY_FAMILY, AGENCY_SCORES = "bureau", ("EXT_SOURCE_1", "EXT_SOURCE_2", "EXT_SOURCE_3")


class LetterError(RuntimeError):
    """The facts of the decision do not make a notice; the message says what is missing."""


@dataclass(frozen=True)
class Letter:
    """Everything a template says."""

    lender: Lender
    decision_id: str
    applicant_id: int
    applied_on: date
    notice_on: date
    reasons: Sequence[str]
    reviewed: bool  # a person decided
    agency_used: bool  # information of an agency or register went into it
    points: int
    key_factors: Sequence[str]  # of the score
    pd: float
    approve_below: float
    decline_from: float


def due_by(record: DecisionRecord) -> date:
    """Return the last day on which a notice of a decision may be given."""
    return datetime.fromisoformat(record.decided_at).date() + timedelta(days=DAYS)


def letter(record: DecisionRecord, review: Review | None, lender: Lender, policy: Policy, now: datetime) -> Letter:
    """Put together what a notice says.

    Parameters
    ----------
    record
        A decline, or a referral that a person declined.
    review
        Of a referral: the one that declined it, whose reason is told, a line each.
    lender
        The lender's facts.
    policy
        The one that decided.
    now
        When it is issued.

    Raises
    ------
    LetterError
        There is no reason, or there are too many.
    """
    of_model = [reason for reason in record.reasons or () if reason.contribution is not None]
    reasons = _reasons(record.reasons or (), review)
    points = policy.score.points(record.pd)
    return Letter(
        lender=lender,
        decision_id=record.decision_id,
        applicant_id=record.applicant_id,
        applied_on=datetime.fromisoformat(record.decided_at).date(),
        notice_on=now.astimezone(UTC).date(),
        reasons=reasons,
        reviewed=review is not None,
        agency_used=_agency_used(record),
        points=lender.us.score.told(points) if lender.us else points,
        key_factors=[reason.text for reason in of_model],
        pd=record.pd,
        approve_below=policy.decisions.approve_below,
        decline_from=policy.decisions.decline_from,
    )


def render(content: Letter) -> str:
    """Render a notice as a page of HTML that needs nothing from elsewhere."""
    template = "us.html" if content.lender.jurisdiction == "us" else "europe.html"
    return str(_environment().get_template(template).render(letter=content, lender=content.lender))


@cache
def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - only whoever issues a notice needs it

    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["day"] = lambda day: f"{day:%d %B %Y}".lstrip("0")
    found.filters["percent"] = lambda share: f"{share * 100:.1f} %"
    return found


def _reasons(told: Sequence[Reason], review: Review | None) -> list[str]:
    if review is not None:
        found = [line.strip() for line in review.reason.splitlines() if line.strip()]
    else:
        found = [reason.text.strip() for reason in told if reason.text.strip()]
    if not found:
        raise LetterError(
            "no reason of it is stored: an earlier release made it, or it could not be explained; decide again"
        )
    if len(found) > MOST_REASONS:
        raise LetterError(
            f"its review has {len(found)} lines of reasons; review it again with the principal ones, at most four"
        )
    return found


def _agency_used(record: DecisionRecord) -> bool:
    """Tell whether information of an agency went into a decision; where that is not known, it is said that it did."""
    if record.families.get(AGENCY_FAMILY) != "no_history" or record.input is None:
        return True
    application = record.input["application"]
    return application is None or any(application.get(score) is not None for score in AGENCY_SCORES)
