"""Batch and request compute the same features, to the last bit, for applicants of the sample portfolio."""

from pathlib import Path
from typing import Any

import duckdb
import pytest

from creditrisk_assets.features.engine import build_family, join_applicant
from creditrisk_assets.features.families import FAMILIES
from creditrisk_assets.features.plan import render_plan
from creditrisk_assets.features.request import RequestFeatures
from creditrisk_assets_tests.features.tables import records, typed

APPLICANTS = 400
PER_REQUEST = 25


def test_batch_equals_request(portfolio: Path, tmp_path: Path) -> None:
    with duckdb.connect(config={"threads": 2}) as con:
        raw = typed(con, portfolio, tmp_path)
        files = {name: tmp_path / f"family_{name}.parquet" for name in FAMILIES}
        for name, family in FAMILIES.items():
            build_family(con, family, raw, files[name])
        join_applicant(con, files, tmp_path / "applicant.parquet")
        rows = {table: records(con, path) for table, path in raw.items()}
        batch = {row["sk_id_curr"]: row for row in records(con, tmp_path / "applicant.parquet")}
    applications = [
        {name: value for name, value in row.items() if name != "TARGET" and value is not None}
        for row in (*rows.pop("application_test")[:100], *rows.pop("application_train")[: APPLICANTS - 100])
    ]
    requests = RequestFeatures(render_plan())
    for start in range(0, APPLICANTS, PER_REQUEST):
        sent = applications[start : start + PER_REQUEST]
        found = requests.compute(sent, _histories(rows, {row["SK_ID_CURR"] for row in sent}))
        assert set(found) == set(next(iter(batch.values())))
        for place, key in enumerate(found["sk_id_curr"]):
            one = {name: values[place] for name, values in found.items()}
            assert one == batch[key]


def _histories(rows: dict[str, list[dict[str, Any]]], keys: set[int]) -> dict[str, list[dict[str, Any]]]:
    found = {
        table: [row for row in content if row["SK_ID_CURR"] in keys]
        for table, content in rows.items()
        if table != "bureau_balance"
    }
    reported = {row["SK_ID_BUREAU"] for row in found["bureau"]}
    return {**found, "bureau_balance": [row for row in rows["bureau_balance"] if row["SK_ID_BUREAU"] in reported]}


@pytest.mark.parametrize("name", list(FAMILIES))
def test_plan_runs_the_committed_text(name: str) -> None:
    assert render_plan()["families"][name]["sql"] == FAMILIES[name].sql
