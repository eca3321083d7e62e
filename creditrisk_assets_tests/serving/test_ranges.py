"""Inputs beyond what the training saw are named, and no other."""

from typing import Any

import numpy as np
import pytest

from creditrisk_assets.modelling.bundle import BundleFeature, to_float32
from creditrisk_assets.modelling.reference import Reference, input_reference
from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.portfolio import FIRST_ID, Portfolio
from creditrisk_serving.scoring.ranges import TrainingRange

TRAINED: dict[str, tuple[str, list[Any]]] = {
    "amount": ("numeric", [0.1, 5.0, None]),
    "never": ("numeric", [None, None, None]),
    "owner": ("boolean", [False, False, None]),
    "kind": ("category", ["a", "b", None]),
}
FEATURES = [
    BundleFeature(name, "family", kind, ("a", "b") if kind == "category" else None)
    for name, (kind, _) in TRAINED.items()
]
RANGE = TrainingRange(
    FEATURES, Reference(3, {name: input_reference(kind, values) for name, (kind, values) in TRAINED.items()}, None)
)
NAN = float("nan")


@pytest.mark.parametrize(
    ("row", "unseen", "outside"),
    [
        ([0.1, NAN, False, 0], False, []),
        ([5.0, NAN, NAN, NAN], False, []),
        ([NAN, NAN, NAN, NAN], False, []),
        ([0.1 - 1e-15, NAN, NAN, NAN], False, []),  # the model sees float32: these are one number to it
        ([0.0999, NAN, NAN, NAN], False, ["amount"]),
        ([5.001, NAN, NAN, NAN], True, ["amount", "kind"]),
        ([-1e300, NAN, NAN, NAN], False, ["amount"]),
        ([1.0, 0.0, True, 1], False, ["never", "owner"]),
    ],
)
def test_what_the_training_never_saw_is_named(row: list[float], unseen: bool, outside: list[str]) -> None:
    numbers = to_float32(np.array([row, [NAN] * 4, row], dtype=np.float64))
    assert RANGE.outside(numbers, np.array([[unseen], [False], [unseen]])) == [outside, [], outside]


def test_the_answer_names_them(shared: Client, portfolio: Portfolio) -> None:
    (known,) = shared.post("/predict", {"applicant_ids": [FIRST_ID]}).json()["decisions"]
    assert known["outside_training"] == []
    application = {**portfolio.application(FIRST_ID), "AMT_INCOME_TOTAL": 1e8}
    (far,) = shared.post("/predict", {"applications": [application]}).json()["decisions"]
    assert "application__income_amt" in far["outside_training"]
    assert set(far["outside_training"]) <= set(shared.service.scoring.champion().bundle.feature_names)
