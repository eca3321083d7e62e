"""Pictures of research: whole PNGs, the same bytes each time."""

import numpy as np

from creditrisk_assets.modelling.auc import Interval
from creditrisk_assets.modelling.research.plots import draw_differences, draw_reliability

PNG = b"\x89PNG"


def test_differences_are_drawn_alike_each_time() -> None:
    found = {
        "card": Interval(-0.01, -0.02, -0.001),
        "same": Interval(0, -0.01, 0.01),
        "best": Interval(0.02, 0.01, 0.03),
    }
    picture = draw_differences(found, "title", "axis")
    assert picture.startswith(PNG)
    assert picture == draw_differences(found, "title", "axis")
    assert picture != draw_differences(found | {"best": Interval(-0.02, -0.03, -0.01)}, "title", "axis")


def test_reliability_is_drawn_for_every_set_of_pds() -> None:
    random = np.random.default_rng(0)
    pds = random.random(500)
    target = (random.random(500) < pds).astype(np.int64)
    one = draw_reliability(target, {"true": pds}, "title")
    assert one.startswith(PNG)
    assert one == draw_reliability(target, {"true": pds}, "title")
    assert one != draw_reliability(target, {"true": pds, "high": np.sqrt(pds)}, "title")
