"""Idempotency keys: a request that is sent twice under one key is decided once.

What belongs here: claiming a key, finding its answer. What does not: the header (`scoring.endpoints`), storing decision and answer together
(`log`). A key belongs to the caller that sent it. It is claimed by one unique insert into the database that all processes share, and the
answer is journalled in the same frame as its decisions, so that both are there or neither.
"""

import hashlib
import time
from typing import NamedTuple

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from creditrisk_serving.decisions.database import ANSWERS, FAILURES
from creditrisk_serving.decisions.log import DecisionLog, new_decision_id
from creditrisk_serving.decisions.schemas import Answered
from creditrisk_serving.errors import DecisionNotStoredError, IdempotencyKeyInUseError, IdempotencyKeyReusedError

LEASE_SECONDS = 60.0  # after which a request that claimed a key and vanished is given up
WAIT_SECONDS = 5.0
LOOK_SECONDS = 0.05


class Claim(NamedTuple):
    """The right to decide under a key."""

    caller: str
    key: str
    body_sha256: str
    token: str
    until: float  # monotonic: past it another request may have the right

    def answered(self, answer: bytes) -> Answered:
        """Give what is stored beside the decisions.

        Raises
        ------
        DecisionNotStoredError
            The right has run out, so that another request may be deciding under the key.
        """
        if time.monotonic() > self.until:
            raise DecisionNotStoredError("the request took longer than its idempotency key is held; send it again")
        return Answered(caller=self.caller, key=self.key, body_sha256=self.body_sha256, answer=answer.decode())


class IdempotencyKeys:
    """The keys that callers sent.

    Parameters
    ----------
    log
        The decision log they belong to.
    """

    def __init__(self, log: DecisionLog) -> None:
        self._log = log

    def claim(self, caller: str, key: str, body: bytes) -> Claim | bytes:
        """Claim a key, or return the answer that was given under it; a request that is just being answered is waited for.

        Raises
        ------
        IdempotencyKeyReusedError
            The key was sent with another body.
        IdempotencyKeyInUseError
            The first request with it is still being answered.
        DecisionNotStoredError
            The database cannot be asked.
        """
        digest = hashlib.sha256(body).hexdigest()
        deadline = time.monotonic() + WAIT_SECONDS
        try:
            while (found := self._try(caller, key, digest)) is None:
                if time.monotonic() > deadline:
                    raise IdempotencyKeyInUseError("the first request with this key is still being answered; try again")
                time.sleep(LOOK_SECONDS)
        except FAILURES as error:
            raise DecisionNotStoredError(
                "idempotency keys need the database of the decision log, and it cannot be used; try again later"
            ) from error
        return found

    def release(self, claim: Claim) -> None:
        """Give a key back under which nothing was decided."""
        mine = (ANSWERS.c.caller == claim.caller, ANSWERS.c.key == claim.key, ANSWERS.c.token == claim.token)
        try:
            with self._log.database.begin() as connection:
                connection.execute(delete(ANSWERS).where(*mine, ANSWERS.c.answer.is_(None)))
        except FAILURES:
            return  # it runs out by itself

    def _try(self, caller: str, key: str, digest: str) -> Claim | bytes | None:
        """Claim the key or find its answer; None: another request has it."""
        mine = (ANSWERS.c.caller == caller, ANSWERS.c.key == key)
        now, until, token = time.time(), time.monotonic() + LEASE_SECONDS / 2, new_decision_id()
        claim = Claim(caller, key, digest, token, until)
        row = {"caller": caller, "key": key, "body_sha256": digest, "token": token, "claimed_at": now}
        try:
            with self._log.database.begin() as connection:
                connection.execute(insert(ANSWERS), [row])
            return claim
        except IntegrityError:
            pass
        with self._log.database.begin() as connection:
            found = connection.execute(select(ANSWERS).where(*mine)).first()
        if found is None:
            return None
        if found.body_sha256 != digest:
            raise IdempotencyKeyReusedError(
                "this key was sent before with another body; send a new key with a new request"
            )
        if (answer := self._answer(caller, key, found.answer)) is not None:
            return answer
        if now - found.claimed_at < LEASE_SECONDS:
            return None
        with self._log.database.begin() as connection:
            taken = connection.execute(
                update(ANSWERS).where(*mine, ANSWERS.c.token == found.token).values(token=token, claimed_at=now)
            ).rowcount
            found = connection.execute(select(ANSWERS).where(*mine)).first()
        if found is not None and found.answer is not None:  # it came from a journal meanwhile
            return str(found.answer).encode()
        return claim if taken else None

    def _answer(self, caller: str, key: str, answer: str | None) -> bytes | None:
        """Return the answer, if need be from a journal."""
        if answer is not None:
            return answer.encode()
        waiting = self._log.waiting_answer(caller, key)
        return None if waiting is None else waiting.answer.encode()
