"""The directory in which a batch is made: finished files in it are not made again, whatever killed the run before.

What belongs here: whose work it is, finishing a file in one step, one run at a time. What does not: what the files hold (`job`).
"""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from creditrisk_assets.lake import write_atomically

STATE = "state.json"


class BatchBusyError(RuntimeError):
    """Another process makes the same output."""


class WorkDirectory:
    """A directory of finished files.

    Parameters
    ----------
    path
        Where it is; made when it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs away.

        Raises
        ------
        BatchBusyError
            One is at work.
        """
        self.path.mkdir(exist_ok=True)
        with (self.path / ".lock").open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BatchBusyError(
                    f"another run is at work in {self.path}; wait for it, or choose another --out"
                ) from None
            yield

    def begin(self, made_from: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[dict[str, Any], bool, str | None]:
        """Go on with what is there if it was made from the same, or start anew.

        Parameters
        ----------
        made_from
            What everything in the directory follows from: name -> value.
        new
            What is kept of a run that starts anew.

        Returns
        -------
        tuple
            What was kept when the work was begun, whether it goes on, and why it does not though something was begun.
        """
        state = self._state()
        if state is not None and state["made_from"] == made_from:
            return state["kept"], True, None
        why = None
        if state is not None:
            before = state["made_from"]
            changed = sorted(
                name for name in before.keys() | made_from.keys() if before.get(name) != made_from.get(name)
            )
            why = f"changed since: {', '.join(changed)}"
        self.clear()
        write_atomically(self.path / STATE, json.dumps({"made_from": dict(made_from), "kept": dict(new)}))
        return dict(new), False, why

    def _state(self) -> Any:
        try:
            return json.loads((self.path / STATE).read_text("utf-8"))
        except FileNotFoundError:
            return None
        except ValueError:
            return {"made_from": {"a damaged state": True}}

    def finished(self, name: str, make: Callable[[Path], object]) -> Path:
        """Make a file unless it is there, and return its path; a file is there whole or not at all."""
        path = self.path / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_name(f"unfinished-{path.name}")
            make(unfinished)
            with unfinished.open("rb") as stream:
                os.fsync(stream.fileno())
            unfinished.replace(path)
        return path

    def clear(self) -> None:
        """Delete everything but the lock."""
        for path in self.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != ".lock":
                path.unlink()

    def remove(self) -> None:
        """Delete the directory."""
        shutil.rmtree(self.path, ignore_errors=True)
