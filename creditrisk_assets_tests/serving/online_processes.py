"""What processes of their own do to an online store: read while it is swapped, build until they are killed.

What belongs here: functions that a spawned process runs; it imports nothing else. What does not: what is asserted about them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from creditrisk_serving.online.layout import Layout
from creditrisk_serving.online.store import OnlineStore, OnlineStoreError


class NoLayout:
    """Rows that are not packed."""

    layout = Layout((), {})


def filled(values: dict[int, int]) -> tuple[list[tuple[int, bytes]], NoLayout]:
    """Make rows of one number each."""
    return [(key, value.to_bytes(8, "little")) for key, value in values.items()], NoLayout()


def read_until(store_arguments: tuple[Path, str | None], stop: Any, seen: Any, problems: Any) -> None:
    """Follow the pointer as the service does, and tell of every row that is not of its snapshot."""
    store = OnlineStore(*store_arguments)
    while not stop.is_set():
        current = store.current()
        assert current is not None
        try:
            snapshot = store.snapshot(current.name)
            rows = store.open(snapshot)
            found = [rows.find(key) for key in range(1, 21)]
            rows.close()
        except OnlineStoreError:  # two swaps behind: what it looked for was removed, as the service would be told
            continue
        wanted = int(snapshot.version)
        if any(packed is None or int.from_bytes(packed, "little") != wanted for packed in found):
            problems.put(f"{wanted}: {found}")
        seen.put(wanted)
    store.close()


def build_slowly(store_arguments: tuple[Path, str | None], started: Any) -> None:
    def rows() -> Iterator[tuple[int, bytes]]:
        for key in range(10**9):
            if key == 3000:
                started.set()
            yield key, b"half"

    OnlineStore(*store_arguments).write("killed", rows(), NoLayout())
