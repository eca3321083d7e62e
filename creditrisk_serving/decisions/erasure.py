"""Erasure of an applicant's data in the decision log, and the statutory hold that comes before it.

What belongs here: whether it may be done, doing it, recording it. What does not: keys (`sealing`). What stays of a decision is that it was
made: id, time, applicant id, versions, PD, outcome. What was sent and computed can no longer be read.
"""

from datetime import UTC, datetime, timedelta

from creditrisk_serving.decisions.database import FAILURES
from creditrisk_serving.decisions.log import DecisionLog, new_decision_id
from creditrisk_serving.decisions.schemas import Erasure


class ErasureError(RuntimeError):
    """Nothing was erased; the message says why, and from when on it can be."""


def erase(log: DecisionLog, applicant: int, *, hold_days: int, reason: str, now: datetime | None = None) -> Erasure:
    """Erase what the log holds of an applicant.

    Parameters
    ----------
    log
        A started log.
    applicant
        SK_ID_CURR.
    hold_days
        Days after a decision in which its records must be kept.
    reason
        Why, in words without personal data; it is kept.
    now
        The moment; by default the present one.

    Raises
    ------
    ErasureError
        There is nothing to erase, records must still be kept, or the log cannot be reached.
    """
    moment = now or datetime.now(UTC)
    if not log.flush():
        raise ErasureError("the database of the decision log does not take decisions; bring it back first")
    try:
        decided = log.database.decided(applicant)
        if not decided:
            raise ErasureError(f"the decision log holds no decision of applicant {applicant}")
        until = datetime.fromisoformat(max(decided)) + timedelta(days=hold_days)
        if moment < until:
            raise ErasureError(
                f"records of applicant {applicant} must be kept until {until.date().isoformat()}: {hold_days} days after the last"
                " decision (CREDITRISK_SERVING_HOLD_DAYS; 12 CFR 1002.12(b) asks for 25 months); restrict their use until then"
            )
        log.database.erase(applicant)
    except FAILURES as error:
        raise ErasureError(f"the database of the decision log cannot be used ({type(error).__name__})") from None
    made = Erasure(
        erasure_id=new_decision_id(),
        applicant_id=applicant,
        erased_at=moment.isoformat(timespec="microseconds"),
        decisions=len(decided),
        reason=reason,
    )
    log.erased(made)
    return made
