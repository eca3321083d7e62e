"""The drain: takes what the journal holds into the database, in the background, each decision exactly once.

What belongs here: the thread, its order and its pace. What does not: files (`journal`), SQL (`database`). How far a writer's journal was
taken is committed with what was taken, so that nothing is taken twice whenever a process dies.
"""

import threading
import time
from pathlib import Path

from creditrisk_serving.decisions.database import FAILURES, Database, NotTakenError
from creditrisk_serving.decisions.journal import Abandoned, Journal, JournalError, Segment, abandoned
from creditrisk_serving.decisions.taking import Taker
from creditrisk_serving.observability import LOG, surprise

GATHER_SECONDS = 1.0  # taken together, decisions cost a third less, and requests are disturbed less often
RETRY_SECONDS = 0.5
FORGET_SECONDS = 600.0
KEEP_ANSWERS_SECONDS = 24 * 3600.0
LOOK_SECONDS = 5.0  # between looks at the journals of writers that are gone


class Drain:
    """The background thread of one process.

    Parameters
    ----------
    journal
        This process's journal.
    root
        Where the journals of all writers are.
    database
        Where they are taken.
    taker
        Who takes them there.
    eager
        Whether somebody waits for the commit, so that nothing is gathered first.
    """

    def __init__(self, journal: Journal, root: Path, database: Database, taker: Taker, *, eager: bool) -> None:
        self._journal, self._root, self._database, self._taker, self._eager = journal, root, database, taker, eager
        self._taken = 0  # frames of this process's journal
        self._offset = 0  # in its oldest segment
        self._looked: float | None = None
        self._forgot = time.monotonic()  # no old answers are looked for at start
        self.problem: str | None = None
        self.left_behind: str | None = None  # why the journal of a writer that is gone was not taken
        self._changed = threading.Condition()
        self._begun, self._ended = 0, 0  # attempts
        self._wanted, self._urged, self._stopped = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="decision-drain", daemon=True)

    def start(self) -> None:
        """Begin; the journals of writers that are gone come first."""
        self._thread.start()

    def wake(self) -> None:
        """Say that there is something to take."""
        if not self._wanted.is_set():
            self._wanted.set()

    def wait(self, frame: int, seconds: float) -> bool:
        """Wait until a frame of this process's journal was taken; false when the database fails first."""
        self._urged.set()
        with self._changed:
            self._changed.wait_for(lambda: self._taken >= frame or self.problem is not None, seconds)
            return self._taken >= frame

    def works(self, seconds: float) -> bool:
        """Tell whether the database takes what there is; if it last did not, after a new attempt."""
        if self.problem is None:
            return True
        with self._changed:
            attempt = self._begun + 1
            self._urged.set()
            self._changed.wait_for(lambda: self._ended >= attempt, seconds)
            return self.problem is None

    def stop(self) -> None:
        """Take what is left, once, and end."""
        self._stopped.set()
        self._wanted.set()
        self._urged.set()
        if self._thread.is_alive():
            self._thread.join()
        self._take_all()
        self._taker.close()

    def _run(self) -> None:
        self._take_all()
        while not self._stopped.is_set():
            if self.problem is not None:
                self._urged.wait(RETRY_SECONDS)
            elif self._wanted.wait(LOOK_SECONDS) and not self._eager:
                self._urged.wait(GATHER_SECONDS)
            self._urged.clear()
            self._wanted.clear()
            self._take_all()

    def _take_all(self) -> None:
        """Take what there is; whatever stands in the way is said, and tried again."""
        with self._changed:
            self._begun += 1
        try:
            self._take_own()
            problem = None
        except FAILURES as error:
            problem = self._database.failed(error)
        except (JournalError, NotTakenError) as error:
            problem = str(error)
        except Exception as error:  # the thread must outlive any surprise; it says so and tries again
            problem = surprise(error)
        if problem is not None and problem != self.problem:
            LOG.error("decisions_not_drained", extra={"fields": {"problem": problem}})
        with self._changed:
            self.problem, self._ended = problem, self._begun
            self._changed.notify_all()
        if problem is None and (self._looked is None or time.monotonic() - self._looked >= LOOK_SECONDS):
            self._looked = time.monotonic()
            self._look_around()

    def _look_around(self) -> None:
        """Take what writers that are gone left behind, and forget old answers; what cannot be taken stays, and is said."""
        said, self.left_behind = self.left_behind, None
        try:
            for one in abandoned(self._root):
                try:
                    self._take_abandoned(one)
                except Exception as error:  # it must not stand in the way of the others
                    why = str(error) if isinstance(error, NotTakenError) else surprise(error)
                    self.left_behind = f"the journal {one.writer} cannot be taken into the database: {why}"
            if time.monotonic() - self._forgot >= FORGET_SECONDS:
                self._forgot = time.monotonic()
                self._database.forget_answers(time.time() - KEEP_ANSWERS_SECONDS)
        except FAILURES as error:
            LOG.error("decisions_not_drained", extra={"fields": {"problem": self._database.failed(error)}})
        if self.left_behind is not None and self.left_behind != said:
            LOG.error("journal_not_taken", extra={"fields": {"problem": self.left_behind}})

    def _take_own(self) -> None:
        segments = self._journal.segments()
        for place, segment in enumerate(segments):
            while self._offset < segment.size:
                frames, end = self._taker.take(self._journal.writer, segment, self._taken + 1, self._offset)
                if not frames:
                    break
                self._journal.taken(segment, end - self._offset, whole=False)
                self._offset = end
                with self._changed:
                    self._taken += frames
                    self._changed.notify_all()
            if place + 1 < len(segments):  # nothing more comes to it
                self._journal.taken(segment, 0, whole=True)
                self._offset = 0

    def _take_abandoned(self, one: Abandoned) -> None:
        try:
            for segment in one.segments():
                self._take_segment(one, segment)
        finally:
            one.close()

    def _take_segment(self, one: Abandoned, segment: Segment) -> None:
        number, end, damage = segment.first, 0, None
        try:
            while end < segment.size:
                frames, end = self._taker.take(one.writer, segment, number, end)
                if not frames:
                    break
                number += frames
        except JournalError as error:
            damage = str(error)
            LOG.error("journal_damaged", extra={"fields": {"problem": damage}})
        except BaseException:
            segment.close()
            raise
        if damage is None and end < segment.size:
            one.truncate(segment, end)
        one.remove(segment, damaged=damage is not None)
