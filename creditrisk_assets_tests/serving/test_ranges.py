"""Inputs beyond what the training saw are named, and no other."""

import struct
from typing import Any

import numpy as np
import pytest

from creditrisk_assets.modelling.bundle import BundleFeature, Encoder
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
    ("row", "outside"),
    [
        ([0.1, NAN, False, "a"], []),
        ([5.0, NAN, NAN, NAN], []),
        ([NAN, NAN, NAN, NAN], []),
        ([0.1 - 1e-15, NAN, NAN, NAN], []),  # the model sees float32: these are one number to it
        ([0.0999, NAN, NAN, NAN], ["amount"]),
        ([5.001, NAN, NAN, "c"], ["amount", "kind"]),
        ([-1e300, NAN, NAN, NAN], ["amount"]),
        ([1.0, 0.0, True, "b"], ["never", "owner"]),
    ],
)
def test_what_the_training_never_saw_is_named(row: list[Any], outside: list[str]) -> None:
    packed = Encoder(tuple(FEATURES)).pack(row)
    assert RANGE.outside(row, packed) == outside


def test_the_packed_row_is_float32_in_the_machines_order() -> None:
    packed = Encoder(tuple(FEATURES)).pack([1.5, NAN, True, "b"])
    assert np.frombuffer(packed, np.float32)[[0, 2, 3]].tolist() == [1.5, 1.0, 1.0]
    assert len(packed) == struct.calcsize("=4f")


def test_the_answer_names_them(shared: Client, portfolio: Portfolio) -> None:
    (known,) = shared.post("/predict", {"applicant_ids": [FIRST_ID]}).json()["decisions"]
    assert known["outside_training"] == []
    application = {**portfolio.application(FIRST_ID), "AMT_INCOME_TOTAL": 1e8}
    (far,) = shared.post("/predict", {"applications": [application]}).json()["decisions"]
    assert "application__income_amt" in far["outside_training"]
    assert set(far["outside_training"]) <= set(shared.service.scoring.champion().bundle.feature_names)
