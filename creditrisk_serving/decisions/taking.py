"""Taking frames of a journal into the database, one transaction after the other.

What belongs here: what is read of a segment at once, and who takes it in this process. What does not: which segments there are and in
what order (`drain`), another process that takes them (`apart`), SQL (`database`).
"""

from typing import NamedTuple, Protocol

from creditrisk_serving.decisions.database import Database
from creditrisk_serving.decisions.journal import Frame, JournalError, Segment

FRAMES, BYTES = 500, 4 << 20  # of one transaction, at most one frame more


class Taken(NamedTuple):
    """What was committed of a segment."""

    frames: int
    end: int  # where the next frame begins


class Taker(Protocol):
    """Whatever takes a journal into the database: this process, or another."""

    def take(self, writer: str, segment: Segment, first: int, offset: int) -> Taken:
        """Take the next frames of a segment that were not taken yet: all of them, or none.

        Parameters
        ----------
        writer
            Whose journal it is.
        segment
            One of its segments.
        first
            Number of the frame at the offset.
        offset
            Where to begin.

        Raises
        ------
        JournalError
            The next frame is damaged.
        NotTakenError
            They were not taken, or whether they were is not known; taking them again does no harm.
        """

    def close(self) -> None:
        """Let go of what was opened."""


class Within:
    """Takes in this process.

    Parameters
    ----------
    database
        Where to.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, writer: str, segment: Segment, first: int, offset: int) -> Taken:
        """Take the next frames; see `Taker`."""
        frames = _next(segment, offset)
        if not frames:
            return Taken(0, offset)
        self._database.take(writer, first, [frame.entries for frame in frames])
        return Taken(len(frames), frames[-1].end)

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()


def _next(segment: Segment, offset: int) -> list[Frame]:
    """Read the frames of one transaction; what comes before a damaged one is taken first."""
    found: list[Frame] = []
    size = 0
    try:
        for frame in segment.frames(offset):
            found.append(frame)
            size += sum(map(len, frame.entries))
            if len(found) == FRAMES or size >= BYTES:
                break
    except JournalError:
        if not found:
            raise
    return found
