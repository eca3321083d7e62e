"""A row of features depends on its applicant's rows alone, in any order, and stays within its contract."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from creditrisk_assets.features.families import FAMILIES
from creditrisk_assets.features.plan import render_plan
from creditrisk_assets.features.request import RequestFeatures
from creditrisk_assets_tests.property.histories import KEYS, tables

REQUESTS = RequestFeatures(render_plan())
QUICK = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
HISTORIES = [name for name in FAMILIES if name != "application"]


def compute(made: dict[str, list[dict[str, Any]]], keys: tuple[int, ...] = (1, 2, 3)) -> dict[int, dict[str, Any]]:
    applications = [row for row in made.get("application", []) if row["SK_ID_CURR"] in keys]
    applications = applications or [{"SK_ID_CURR": key} for key in keys]
    found = REQUESTS.compute(applications, {table: rows for table, rows in made.items() if table != "application"})
    return {key: {name: found[name][place] for name in found} for place, key in enumerate(found["sk_id_curr"])}


@pytest.mark.parametrize("name", list(FAMILIES))
@QUICK
@given(data=st.data())
def test_order_of_rows_changes_nothing(name: str, data: st.DataObject) -> None:
    made = data.draw(tables(name))
    shuffled = {table: data.draw(st.permutations(rows)) for table, rows in made.items()}
    assert compute(made) == compute(shuffled)


@pytest.mark.parametrize("name", list(FAMILIES))
@QUICK
@given(data=st.data())
def test_rows_of_others_change_nothing(name: str, data: st.DataObject) -> None:
    made = data.draw(tables(name))
    own = {table: [row for row in rows if row.get("SK_ID_CURR", 1) == 1] for table, rows in made.items()}
    if "bureau_balance" in own:
        reported = {row["SK_ID_BUREAU"] for row in own["bureau"]}
        own["bureau_balance"] = [row for row in made["bureau_balance"] if row["SK_ID_BUREAU"] in reported]
    assert compute(own, keys=(1,))[1] == compute(made)[1]


@pytest.mark.parametrize("name", list(FAMILIES))
@QUICK
@given(data=st.data())
def test_values_stay_within_their_contract(name: str, data: st.DataObject) -> None:
    rows = compute(data.draw(tables(name)))
    for row in rows.values():
        if name != "application" and not row[f"applicant__has_{name}"]:
            continue
        for feature in FAMILIES[name].features:
            value = row[feature.name]
            assert value is not None or feature.nullable, feature.name
            if value is not None and feature.kind == "numeric":
                assert value == value, feature.name
                assert feature.minimum is None or value >= feature.minimum, feature.name
                assert feature.maximum is None or value <= feature.maximum, feature.name


@pytest.mark.parametrize("name", list(FAMILIES))
@QUICK
@given(data=st.data())
def test_null_in_any_cell_never_crashes(name: str, data: st.DataObject) -> None:
    made = data.draw(tables(name))
    source = data.draw(st.randoms(use_true_random=False))
    for rows in made.values():
        for row in rows:
            for column in row:
                if column not in KEYS and source.random() < 0.5:
                    row[column] = None
    assert set(compute(made)) == {1, 2, 3}
