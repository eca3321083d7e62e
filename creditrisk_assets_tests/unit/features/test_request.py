"""The request path: order kept, nothing left behind, nothing shared between threads, errors without values."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from creditrisk_assets.features.plan import render_plan
from creditrisk_assets.features.request import RequestFeatures
from creditrisk_assets.features.worker import RequestError

CREDITS = [
    {"SK_ID_CURR": 7, "SK_ID_BUREAU": number, "CREDIT_ACTIVE": "Active", "DAYS_CREDIT": -number}
    for number in range(1, 9)
]


def test_answers_are_in_the_order_given(requests: RequestFeatures) -> None:
    found = requests.compute(
        [{"SK_ID_CURR": 9, "AMT_CREDIT": 1}, {"SK_ID_CURR": 7, "AMT_CREDIT": 2}], {"bureau": CREDITS}
    )
    assert found["sk_id_curr"] == [9, 7]
    assert found["application__credit_amt"] == [1.0, 2.0]
    assert found["bureau__credits_count"] == [None, 8]
    assert found["applicant__has_bureau"] == [False, True]


def test_nothing_of_an_applicant_is_there_for_the_next(requests: RequestFeatures) -> None:
    requests.compute([{"SK_ID_CURR": 7}], {"bureau": CREDITS})
    with pytest.raises(RequestError):
        requests.compute(
            [{"SK_ID_CURR": 7}], {"bureau": CREDITS, "pos_cash_balance": [{"SK_ID_CURR": 7, "SK_DPD": "late"}]}
        )
    again = requests.compute([{"SK_ID_CURR": 7}], {})
    assert again["bureau__credits_count"] == [None]
    assert again["applicant__has_bureau"] == [False]


def test_threads_do_not_meet(requests: RequestFeatures) -> None:
    def count(key: int) -> tuple[int, Any]:
        rows = [{"SK_ID_CURR": key, "SK_ID_BUREAU": number, "DAYS_CREDIT": -number} for number in range(key)]
        found = requests.compute([{"SK_ID_CURR": key}], {"bureau": rows})
        return found["sk_id_curr"][0], found["bureau__credits_count"][0]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(count, range(1, 25))) == [(key, key) for key in range(1, 25)]


def test_application_family_alone_is_what_compute_gives(requests: RequestFeatures) -> None:
    rows = [{"SK_ID_CURR": 1, "EXT_SOURCE_2": 0.25, "DAYS_EMPLOYED": 365243, "CODE_GENDER": "F"}]
    alone, whole = requests.compute_application(rows), requests.compute(rows, {})
    assert alone == {name: whole[name] for name in alone}
    assert set(alone) == {name for name in whole if name.startswith(("sk_id_curr", "application__"))}


def test_few_and_many_rows_give_the_same(requests: RequestFeatures) -> None:
    rows = [
        {"SK_ID_CURR": key, "EXT_SOURCE_1": 0.1 + key / 7, "AMT_CREDIT": key * 1e5 / 3, "AMT_ANNUITY": 1e-7, "NAME_TYPE_SUITE": "O'N\"é"}
        for key in range(1, 9)
    ]  # fmt: skip
    many = requests.compute_application(rows)
    for place, row in enumerate(rows):
        assert {name: values[place] for name, values in many.items()} == {
            name: value for name, (value,) in requests.compute_application([row]).items()
        }


def test_no_application_gives_empty_columns(requests: RequestFeatures) -> None:
    assert set(map(tuple, requests.compute([], {}).values())) == {()}


@pytest.mark.parametrize("many", [1, 9])
def test_nan_is_unknown_and_infinity_is_refused(many: int, requests: RequestFeatures) -> None:
    rows = [{"SK_ID_CURR": key, "EXT_SOURCE_1": float("nan")} for key in range(many)]
    assert requests.compute_application(rows)["application__ext_1_score"] == [None] * many
    rows[0]["EXT_SOURCE_1"] = float("inf")
    with pytest.raises(RequestError, match=r"application.EXT_SOURCE_1 is infinite"):
        requests.compute_application(rows)


@pytest.mark.parametrize(
    ("applications", "histories", "said"),
    [
        ([{"AMT_CREDIT": 1}], {}, "application 1 of 1 has no whole number in SK_ID_CURR"),
        ([{"SK_ID_CURR": 1}, {"SK_ID_CURR": "2"}], {}, "application 2 of 2"),
        ([{"SK_ID_CURR": True}], {}, "application 1 of 1"),
        ([{"SK_ID_CURR": 1}, {"SK_ID_CURR": 1}], {}, "must differ"),
        ([{"SK_ID_CURR": 1}], {"burea": []}, "no history table is named burea; known: bureau, "),
        ([{"SK_ID_CURR": 1}], {"application": []}, "no history table is named application"),
        ([{"SK_ID_CURR": 1, "AMT_CREDIT": "secret"}], {}, "application: a value is not of its column's type"),
        ([{"SK_ID_CURR": 1}], {"bureau": [{"SK_ID_CURR": 1, "DAYS_CREDIT": "secret"}] * 6}, "bureau: a value is not"),
        ([{"SK_ID_CURR": 1}], {"bureau": [{"SK_ID_CURR": 1, "DAYS_CREDIT": {"secret": 1}}]}, "bureau: a value is not"),
    ],
)  # fmt: skip
def test_what_cannot_be_computed_is_refused_without_values(
    applications: list[dict[str, Any]], histories: dict[str, Any], said: str, requests: RequestFeatures
) -> None:
    with pytest.raises(RequestError) as caught:
        requests.compute(applications, histories)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_plan_survives_json(requests: RequestFeatures) -> None:
    again = RequestFeatures(json.loads(json.dumps(render_plan())))
    rows, histories = [{"SK_ID_CURR": 7, "AMT_CREDIT": 10.5}], {"bureau": CREDITS}
    assert again.compute(rows, histories) == requests.compute(rows, histories)


def test_import_is_light() -> None:
    heavy = {"pandas", "pandera", "ibis", "sqlglot", "dagster", "sklearn", "lightgbm", "mlflow", "pyarrow"}
    code = "import sys, creditrisk_assets.features.request; print(' '.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert heavy & set(loaded) == set()
