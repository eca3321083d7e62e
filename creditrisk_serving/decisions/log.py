"""The decision log: every decision is stored before its answer leaves, and found at once.

What belongs here: storing and finding, what stands in the way. What does not: the parts it is made of (`journal`, `drain`, `database`),
when a decision may leave (`scoring.service`), the routes (`endpoints`).
"""

import hashlib
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy.engine import make_url

from creditrisk_serving.decisions import entries, inputs, journal
from creditrisk_serving.decisions.apart import Apart
from creditrisk_serving.decisions.database import FAILURES, Database
from creditrisk_serving.decisions.drain import Drain
from creditrisk_serving.decisions.journal import Journal, JournalError, NotFlushedError
from creditrisk_serving.decisions.schemas import Answered, BatchRecord, DecisionRecord, Erasure, NoticeRecord, Review
from creditrisk_serving.decisions.sealing import SealDamagedError
from creditrisk_serving.decisions.taking import Within
from creditrisk_serving.errors import DecisionNotStoredError, DecisionUncertainError
from creditrisk_serving.settings import Stored

COMMIT_SECONDS = 30.0
CLOSED = "the decision log is not open"


def new_decision_id() -> str:
    """Make an id: milliseconds, then 80 random bits, so that ids sort by time and none can be guessed from another."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


class DecisionLog:
    """Where decisions are kept.

    Parameters
    ----------
    url
        SQLAlchemy URL of the database.
    root
        Directory of the journals. Nothing is opened before `start`, nor made there before the first decision.
    stored
        What an answer waits for: `journal`, the operating system has the decision (a killed process loses nothing; it is on disk within
        50 ms); `strict`, it is on disk; `database`, the database has committed it (for several machines that share one).
    room
        Bytes of one process that may wait for the database; past it nothing is answered.
    apart
        Whether a process of its own takes decisions into the database, rather than a thread that keeps requests waiting.
    """

    def __init__(
        self, url: str, root: Path, *, stored: Stored = "journal", room: int = 1 << 28, apart: bool = False
    ) -> None:
        self._url, self._root, self._stored, self._room, self._apart = url, root, stored, room, apart
        self.database = Database(url)
        address = make_url(url).set(password=None).render_as_string()
        self._known = root / f"known-{hashlib.sha256(address.encode()).hexdigest()[:12]}"
        self._journal: Journal | None = None
        self._drain: Drain | None = None
        self._usable = False
        self._layouts: dict[str, bytes] = {}  # that this process stored
        self._starting = threading.Lock()

    def start(self) -> None:
        """Take what earlier processes left behind into the database, in the background, and be ready to store."""
        with self._starting:
            if self._journal is None:
                self._journal = Journal(self._root, strict=self._stored == "strict", room=self._room)
                taker = Apart(self._url) if self._apart else Within(self.database)
                eager = self._stored == "database"
                self._drain = Drain(self._journal, self._root, self.database, taker, eager=eager)
                self._drain.start()

    def review(self, review: Review) -> None:
        """Store what a person decided of a referral.

        Raises
        ------
        DecisionNotStoredError
            It could not be stored.
        """
        self._append([entries.entry(entries.REVIEW, review)])

    def reviews(self, decision_id: str) -> list[Review]:
        """Return the reviews of a decision, oldest first; the last one holds.

        Raises
        ------
        DecisionNotStoredError
            The log cannot be read.
        """
        start = _start(entries.REVIEW.letter, decision_id=decision_id)
        waiting = [msgspec.json.decode(one, type=Review) for one in self._waiting(start)]
        try:
            stored = self.database.reviews(decision_id)
        except FAILURES as error:
            raise DecisionNotStoredError("the decision log cannot be read; try again later") from error
        found = {one.review_id: one for one in (*waiting, *stored)}
        return sorted(found.values(), key=lambda one: one.reviewed_at)

    def issue(self, notice: NoticeRecord) -> None:
        """Store a notice.

        Raises
        ------
        DecisionNotStoredError
            It could not be stored.
        """
        self._append([entries.entry(entries.NOTICE, notice)])

    def notices(self, decision_id: str) -> list[NoticeRecord]:
        """Return the notices of a decision, oldest first; the first one holds.

        Raises
        ------
        DecisionNotStoredError
            The log cannot be read, or a notice is not what was stored.
        """
        start = _start(entries.NOTICE.letter, decision_id=decision_id)
        waiting = [msgspec.json.decode(one, type=NoticeRecord) for one in self._waiting(start)]
        try:
            stored = self.database.notices(decision_id)
        except SealDamagedError as error:
            raise DecisionNotStoredError("this notice is not what was stored; run `creditrisk verify-log`") from error
        except FAILURES as error:
            raise DecisionNotStoredError("the decision log cannot be read; try again later") from error
        found = {one.notice_id: one for one in (*waiting, *stored)}
        return sorted(found.values(), key=lambda one: one.issued_at)

    def erased(self, erasure: Erasure) -> None:
        """Store that an applicant's data were erased.

        Raises
        ------
        DecisionNotStoredError
            It could not be stored.
        """
        self._append([entries.entry(entries.ERASURE, erasure)])

    def store_batch(self, record: BatchRecord) -> bool:
        """Store that a batch was scored, unless it is stored already; tell whether it was stored now.

        Raises
        ------
        DecisionNotStoredError, DecisionUncertainError
            It could not be stored, or whether it was is not known; storing it again does no harm.
        """
        start = _start(entries.BATCH.letter, batch_id=record.batch_id)
        try:
            known = bool(
                self.database.batches(batch_id=record.batch_id)
                or any(self._waiting(start))
                or self.database.batches(batch_id=record.batch_id)  # taken while it was looked for in the journals
            )
        except FAILURES as error:
            raise DecisionNotStoredError(
                "the decision log cannot be read, so no batch is stored; try again later"
            ) from error
        if not known:
            self._append([entries.entry(entries.BATCH, record)])
        return not known

    @property
    def waits(self) -> bool:
        """Whether storing may take longer than a write to a file of this machine."""
        return self._stored != "journal" or not self._usable  # the first decision opens the database

    def store(
        self,
        records: Sequence[DecisionRecord],
        answered: Answered | None = None,
        layout: tuple[str, bytes] | None = None,
    ) -> None:
        """Store the decisions of one request: all of them, or none.

        Parameters
        ----------
        records
            The decisions.
        answered
            The answer under an idempotency key, stored with them or not at all.
        layout
            What names their inputs (`inputs.layout_of`); it is kept once.

        Raises
        ------
        DecisionNotStoredError
            They could not be stored; no decision may leave.
        """
        lines = [entries.entry(entries.DECISION, record) for record in records]
        if answered is not None:
            lines.append(entries.answer_entry(answered))
        if layout is not None and layout[0] not in self._layouts:
            self._append([entries.layout_entry(layout), *lines])
            self._layouts[layout[0]] = layout[1]
        else:
            self._append(lines)

    def _append(self, lines: Sequence[bytes]) -> None:
        kept, drain = self._journal, self._drain
        if kept is None or drain is None:
            raise DecisionNotStoredError(f"{CLOSED}, so nothing was decided; try again later")
        if not self._usable:
            self._require_database()
        if self._stored == "database" and not drain.works(COMMIT_SECONDS):
            raise DecisionNotStoredError("the decision log cannot be written, so nothing was decided; try again later")
        try:
            frame = kept.append(lines)
        except NotFlushedError as error:
            raise DecisionUncertainError(f"{error}; nothing was answered") from error
        except JournalError as error:
            raise DecisionNotStoredError(f"{error}; nothing was decided") from error
        drain.wake()
        if self._stored == "database" and not drain.wait(frame, COMMIT_SECONDS):
            raise DecisionUncertainError("the decision log cannot be written, so nothing was answered; try again later")

    def find(self, decision_id: str) -> DecisionRecord | None:
        """Find a decision: in the database, else in the journals of all processes.

        Raises
        ------
        DecisionNotStoredError
            The log cannot be read.
        """
        problem: Exception | None = None
        try:
            if (row := self.database.find(decision_id)) is None:
                if (waiting := self._waiting_decision(decision_id)) is not None:
                    return waiting
                row = self.database.find(decision_id)  # taken from a journal while it was being looked for there
        except SealDamagedError as error:
            raise DecisionNotStoredError(
                "this decision is not what was stored; run `creditrisk verify-log`, which names what was changed"
            ) from error
        except FAILURES as error:
            row, problem = None, error
        if row is not None:
            return msgspec.json.decode(entries.body(entries.DECISION, row), type=DecisionRecord)
        if problem is not None and (waiting := self._waiting_decision(decision_id)) is not None:
            return waiting
        if problem is not None:
            raise DecisionNotStoredError("the decision log cannot be read; try again later") from problem
        return None

    def features(self, record: DecisionRecord) -> dict[str, Any] | None:
        """Name what a decision saw; None: it was erased.

        Raises
        ------
        DecisionNotStoredError
            The log cannot be read.
        """
        if record.features is None:
            return None
        layout = str(record.features["layout"])
        if (content := self._layouts.get(layout)) is None:
            try:
                content = self._waiting_layout(layout) or self.database.layout(layout)
            except FAILURES as error:
                raise DecisionNotStoredError("the decision log cannot be read; try again later") from error
        if content is None:
            raise DecisionNotStoredError(
                f"the decision log lacks the layout {layout} that names this decision's inputs; restore its table `layouts`"
            )
        try:
            return inputs.named(record.features, content)
        except ValueError as error:
            raise DecisionNotStoredError(
                f"the layout {layout} in the decision log is not what was stored; restore its table `layouts`"
            ) from error

    def flush(self, seconds: float = COMMIT_SECONDS) -> bool:
        """Wait until the database has everything this process stored; false if it does not come to it."""
        kept, drain = self._journal, self._drain
        return kept is None or drain is None or drain.wait(kept.frames, seconds)

    def problem(self) -> str | None:
        """Say why no decision can be stored."""
        if self._journal is None:
            return CLOSED
        if (problem := self._journal.problem()) is not None:
            return problem
        if self._stored == "database" or not self._known.exists():
            return self.database.problem()
        return None

    def warnings(self) -> list[str]:
        """Say what is not as it should be though decisions can be stored."""
        found = [
            f"a damaged journal was set aside: {name}; decisions in it may be missing from the database"
            for name in journal.damaged(self._root)
        ]
        if self._drain is not None and self._drain.left_behind is not None:
            found.append(self._drain.left_behind)
        if self._journal is not None and (problem := self.database.problem()) is not None:
            found.append(
                f"{problem}; decisions wait in the journal, {self._journal.room_left():.0%} of its room is left"
            )
        return found

    def close(self) -> None:
        """Take what is left into the database if it can be, and close; what cannot waits for the next start."""
        with self._starting:
            kept, drain = self._journal, self._drain
            self._journal = self._drain = None
        if kept is not None and drain is not None:
            drain.stop()
            kept.close()
        self.database.close()

    def _require_database(self) -> None:
        """Open the database before the first decision, unless it was in use before: a wrong URL is found out before much waits for it.

        Raises
        ------
        DecisionNotStoredError
            It was never in use here, and cannot be opened.
        """
        try:
            if not self._known.exists():
                self.database.opened()
                self._root.mkdir(parents=True, exist_ok=True, mode=journal.PRIVATE)
                self._known.touch()
        except FAILURES as error:
            raise DecisionNotStoredError(
                "the decision log cannot be opened, so nothing was decided; try again later"
            ) from error
        self._usable = True

    def waiting_answer(self, caller: str, key: str) -> Answered | None:
        """Look for the answer under an idempotency key in the journals."""
        found = next(self._waiting(_start(entries.ANSWER, caller=caller, key=key)), None)
        return None if found is None else msgspec.json.decode(found, type=Answered)

    def _waiting_layout(self, layout: str) -> bytes | None:
        """Look for a layout in the journals."""
        found = next(self._waiting(_start(entries.LAYOUT, layout=layout)), None)
        return None if found is None else str(msgspec.json.decode(found)["content"]).encode()

    def _waiting_decision(self, decision_id: str) -> DecisionRecord | None:
        """Look for a decision in the journals."""
        found = next(self._waiting(_start(entries.DECISION.letter, decision_id=decision_id)), None)
        return None if found is None else msgspec.json.decode(found, type=DecisionRecord)

    def _waiting(self, start: bytes) -> Iterator[bytes]:
        """Give the entries in the journals that begin so, without their letter."""
        for frame in journal.mentioning(self._root, start):
            yield from (line[1:] for line in frame.entries if line.startswith(start))


def _start(letter: bytes, **fields: str) -> bytes:
    """Render how the entry of a record begins whose first fields are these."""
    return letter + msgspec.json.encode(fields).removesuffix(b"}") + b","
