"""What an asset cost is its own: what earlier ones left is given back before it begins."""

import weakref

from creditrisk_assets.defs.usage import measured


class Left:
    """Garbage that only a collection finds."""

    def __init__(self) -> None:
        self.itself = self


def test_what_earlier_assets_left_is_given_back_before_each() -> None:
    for _ in range(2):  # the first finds modules to leave alone from then on
        left = weakref.ref(Left())
        assert left() is not None
        with measured() as usage:
            assert left() is None
        assert usage.peak_memory_bytes > 0
