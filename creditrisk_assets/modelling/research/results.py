"""Finished parts of long work, kept on disk: work that was killed goes on from the last part that ended.

What belongs here: keeping a part under all it depends on. What does not: what a part is (`contest`, `rebalancing`, `ladder`), finished
assets (the lake).
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from creditrisk_assets.lake import write_atomically

DIGITS = 16


class Results:
    """Parts of one piece of work below one directory, a small JSON file each.

    Parameters
    ----------
    directory
        Made when the first part ends.
    made_from
        What every part depends on: versions of tables, digests of settings, code. JSON values.
    """

    def __init__(self, directory: Path, made_from: Mapping[str, Any]) -> None:
        self._directory = directory
        self._made_from = dict(made_from)
        self._used: set[str] = set()

    def once(
        self,
        name: str,
        depends_on: Mapping[str, Any],
        make: Callable[[], Mapping[str, Any]],
        complete: Callable[[Mapping[str, Any]], bool] = lambda _: True,
    ) -> tuple[Mapping[str, Any], bool]:
        """Return a part, made only if it is not there; the second value says whether it was made now.

        Parameters
        ----------
        name
            For people who look into the directory.
        depends_on
            What this part depends on besides; JSON values.
        make
            Makes the part: JSON values. Floats come back to the last bit.
        complete
            Whether a part that was kept is whole; one that is not is made anew.
        """
        text = json.dumps([name, self._made_from, dict(depends_on)], sort_keys=True)
        path = self._directory / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:DIGITS]}.json"
        self._used.add(path.name)
        if (kept := _read(path)) is not None and complete(kept):
            return kept, False
        made = make()
        write_atomically(path, json.dumps(made))
        return made, True

    def sweep(self) -> None:
        """Delete what this work did not use: parts of other tables, settings and code. Call it when all of it has ended."""
        for path in self._directory.glob("*.json"):
            if path.name not in self._used:
                path.unlink(missing_ok=True)


def _read(path: Path) -> Mapping[str, Any] | None:
    """Return a part; one that is not there or was damaged on the disk is made anew."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None
