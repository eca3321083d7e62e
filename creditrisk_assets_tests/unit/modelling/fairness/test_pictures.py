"""The picture of alternatives: names of points that lie close stand on lines of their own."""

import pandas as pd

from creditrisk_assets.modelling.fairness.pictures import _label


class Names:
    """Axes that keep what is written on them."""

    def __init__(self) -> None:
        self.heights: dict[str, int] = {}

    def annotate(self, name: str, _place: tuple[float, float], *, xytext: tuple[int, int], **_look: object) -> None:
        self.heights[name] = xytext[1]


def test_names_of_close_points_stand_above_each_other_and_a_far_one_by_its_point() -> None:
    names = Names()
    rows = [("close", 0.920, 0.754), ("closer", 0.921, 0.754), ("far", 0.964, 0.700)]
    table = pd.DataFrame(rows, columns=["alternative", "impact_ratio", "auc"]).assign(kind="inputs", on_frontier=True)
    _label(names, table)
    assert names.heights["close"] == names.heights["far"]
    assert names.heights["closer"] > names.heights["close"]
