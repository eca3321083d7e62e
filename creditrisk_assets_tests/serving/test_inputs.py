"""What a decision saw is stored as numbers, named by a layout that is kept once and cannot change under it."""

import json
import sqlite3
from pathlib import Path

import msgspec
import numpy as np
import pytest

from creditrisk_assets.modelling.bundle import BundleFeature
from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.portfolio import FIRST_ID
from creditrisk_assets_tests.serving.records import record
from creditrisk_serving.decisions import inputs
from creditrisk_serving.decisions.log import DecisionLog
from creditrisk_serving.errors import DecisionNotStoredError

FEATURES = [
    BundleFeature("amount", "a", "numeric"),
    BundleFeature("owner", "a", "boolean"),
    BundleFeature("kind", "a", "category", ("x", "y")),
]
LAYOUT = inputs.layout_of(FEATURES)
NAN = float("nan")


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ([0.1, 1.0, 1.0], {"amount": float(np.float32(0.1)), "owner": True, "kind": "y"}),
        ([-0.0, 0.0, 0.0], {"amount": -0.0, "owner": False, "kind": "x"}),
        ([NAN, NAN, NAN], {"amount": None, "owner": None, "kind": None}),
    ],
)
def test_inputs_are_named_as_they_were(row: list[float], named: dict[str, object]) -> None:
    packed = json.loads(bytes(inputs.packed(LAYOUT[0], np.array(row, dtype=np.float32), {"rule": 0.1, "none": None})))
    assert inputs.named(packed, LAYOUT[1]) == {**named, "rule": 0.1, "none": None}
    again = inputs.numbers(msgspec.convert(packed, inputs.Packed))
    assert again.dtype == np.float32
    assert np.array_equal(again, np.array([row], dtype=np.float32), equal_nan=True)


def test_another_layout_names_nothing() -> None:
    packed = json.loads(bytes(inputs.packed(LAYOUT[0], np.zeros(3, dtype=np.float32), {})))
    with pytest.raises(ValueError, match="layout"):
        inputs.named(packed, inputs.layout_of(FEATURES[:2])[1])


def layouts(home: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(home / "decisions.db") as connection:
        found = connection.execute("select layout, content from layouts").fetchall()
    connection.close()
    return found


def test_a_layout_is_stored_once_by_any_number_of_processes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'decisions.db'}"
    for _ in range(2):
        log = DecisionLog(url, tmp_path / "journal")
        log.start()
        log.store([record()], layout=LAYOUT)
        log.store([record()], layout=LAYOUT)
        log.close()
    assert layouts(tmp_path) == [(LAYOUT[0], LAYOUT[1].decode())]


def test_inputs_are_named_before_the_database_has_the_layout_and_after_a_restart(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'decisions.db'}"
    packed = json.loads(bytes(inputs.packed(LAYOUT[0], np.array([2.0, 1.0, 0.0], dtype=np.float32), {})))
    named = {"amount": 2.0, "owner": True, "kind": "x"}
    kept = record(decision_id="d" * 32, features=packed)
    writer, reader = DecisionLog(url, tmp_path / "journal"), DecisionLog(url, tmp_path / "journal")
    writer.start()
    writer.store([record()])
    assert writer.flush()
    drain = writer._drain
    assert drain is not None
    drain.wake = lambda: None  # type: ignore[method-assign]
    writer.store([kept], layout=LAYOUT)
    assert reader.features(kept) == named
    del drain.wake
    writer.close()
    reader.close()
    again = DecisionLog(url, tmp_path / "journal")
    assert again.features(kept) == named
    assert again.features(record(features=None)) is None
    again.close()


def test_a_layout_that_is_lost_or_changed_is_told(published: Published) -> None:
    with Client(published.home) as client:
        (decision,) = client.post("/predict", {"applicant_ids": [FIRST_ID]}).json()["decisions"]
        assert client.service.log.flush()
    for statement, said in (
        ("update layouts set content = replace(content, 'application__', 'bureau__')", "is not what was stored"),
        ("delete from layouts", "lacks the layout"),
    ):
        with sqlite3.connect(published.home / "decisions.db") as connection:
            connection.execute(statement)
        connection.close()
        with Client(published.home) as client:
            record = client.service.log.find(decision["decision_id"])
            assert record is not None
            with pytest.raises(DecisionNotStoredError, match=said):
                client.service.log.features(record)
            assert client.get(f"/decisions/{decision['decision_id']}").status == 503
