"""Every row of `creditrisk_assets_tests/features/<family>.yaml`, computed in batch and on request."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from creditrisk_assets.features.families import FAMILIES
from creditrisk_assets.features.request import RequestFeatures
from creditrisk_assets_tests.features import tables

HOME = Path(tables.__file__).parent


def scenarios() -> Iterator[Any]:
    for name in FAMILIES:
        for title, scenario in yaml.safe_load((HOME / f"{name}.yaml").read_text("utf-8")).items():
            yield pytest.param(name, scenario, id=f"{name}-{title}")


def compare(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert [row["sk_id_curr"] for row in found] == [row["sk_id_curr"] for row in expected]
    for row, wanted in zip(found, expected, strict=True):
        for name, value in wanted.items():
            assert name in row, f"{name} is not a feature"
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                assert row[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name
            else:
                assert row[name] == value, name


@pytest.mark.parametrize(("name", "scenario"), list(scenarios()))
def test_batch_gives_the_expected_rows(
    name: str, scenario: dict[str, Any], con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    compare(tables.in_batch(con, FAMILIES[name], scenario["given"], tmp_path), scenario["expect"])


@pytest.mark.parametrize(("name", "scenario"), list(scenarios()))
def test_request_gives_the_expected_rows(name: str, scenario: dict[str, Any], requests: RequestFeatures) -> None:
    compare(tables.on_request(requests, FAMILIES[name], scenario["given"]), scenario["expect"])
