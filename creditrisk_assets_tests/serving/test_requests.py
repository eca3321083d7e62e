"""Requests that break a rule: each is named by table, row, column and rule, and never by its value."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from creditrisk_assets.features.plan import render_plan
from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.portfolio import FIRST_ID, Portfolio, publish, train_bundle

A, B = FIRST_ID, FIRST_ID + 1
CANARY = 987654321.125
Body = dict[str, Any]
Break = Callable[[Body], None]


def whole(portfolio: Portfolio, *applicants: int) -> Body:
    """A valid body with everything of some applicants."""
    histories: dict[str, list[Any]] = {}
    for applicant in applicants:
        for table, rows in portfolio.histories(applicant).items():
            histories.setdefault(table, []).extend(dict(row) for row in rows)
    return {"applications": [dict(portfolio.application(a)) for a in applicants], "histories": histories}


def setting(place: str, column: str, value: Any) -> Break:
    """Set a column of a table's first row."""

    def change(body: Body) -> None:
        rows = body["applications"] if place == "applications" else body["histories"][place]
        rows[0][column] = value

    return change


def dropping(place: str, column: str) -> Break:
    def change(body: Body) -> None:
        rows = body["applications"] if place == "applications" else body["histories"][place]
        del rows[0][column]

    return change


FIELD_RULES = [
    ("unknown column", setting("applications", "AMT_CREDITS", CANARY), "applications", "AMT_CREDITS", "unknown_column"),
    ("the label", setting("applications", "TARGET", 1), "applications", "TARGET", "unknown_column"),
    ("missing column", dropping("applications", "AMT_CREDIT"), "applications", "AMT_CREDIT", "required"),
    ("null where required", setting("applications", "AMT_CREDIT", None), "applications", "AMT_CREDIT", "required"),
    ("text for a number", setting("applications", "AMT_CREDIT", str(CANARY)), "applications", "AMT_CREDIT", "type"),
    ("boolean for a number", setting("applications", "CNT_CHILDREN", True), "applications", "CNT_CHILDREN", "type"),
    ("fraction of a day", setting("applications", "DAYS_BIRTH", -9000.5), "applications", "DAYS_BIRTH", "type"),
    ("number for text", setting("applications", "CODE_GENDER", 1), "applications", "CODE_GENDER", "category"),
    ("NaN", setting("applications", "AMT_ANNUITY", float("nan")), "applications", "AMT_ANNUITY", "finite"),
    (
        "NaN for a whole number",
        setting("applications", "DAYS_BIRTH", float("nan")),
        "applications",
        "DAYS_BIRTH",
        "finite",
    ),
    ("infinity", setting("applications", "AMT_ANNUITY", float("inf")), "applications", "AMT_ANNUITY", "finite"),
    ("below the bounds", setting("applications", "AMT_CREDIT", -CANARY), "applications", "AMT_CREDIT", "minimum"),
    ("above the bounds", setting("applications", "EXT_SOURCE_1", CANARY), "applications", "EXT_SOURCE_1", "maximum"),
    ("positive age in days", setting("applications", "DAYS_BIRTH", 9000), "applications", "DAYS_BIRTH", "maximum"),
    (
        "not quite the sentinel",
        setting("applications", "DAYS_EMPLOYED", 365242),
        "applications",
        "DAYS_EMPLOYED",
        "maximum",
    ),
    ("unknown category", setting("applications", "CODE_GENDER", "Z"), "applications", "CODE_GENDER", "category"),
    ("unlisted number", setting("applications", "FLAG_MOBIL", 2), "applications", "FLAG_MOBIL", "category"),
    ("past 64 bits", setting("applications", "SK_ID_CURR", 2**70), "applications", "SK_ID_CURR", "maximum"),
    ("history column", setting("bureau", "AMT_CREDIT_SUM", -CANARY), "bureau", "AMT_CREDIT_SUM", "minimum"),
    ("history category", setting("bureau_balance", "STATUS", "9"), "bureau_balance", "STATUS", "category"),
]


@pytest.mark.parametrize(
    ("change", "table", "column", "rule"), [r[1:] for r in FIELD_RULES], ids=[r[0] for r in FIELD_RULES]
)
def test_a_broken_rule_is_named_by_place(
    shared: Client, portfolio: Portfolio, change: Break, table: str, column: str, rule: str
) -> None:
    body = whole(portfolio, A)
    change(body)
    reply = shared.post("/predict", body)
    problem = reply.json()
    assert reply.status == 422
    assert reply.headers["content-type"] == "application/problem+json"
    assert problem["type"] == "urn:creditrisk:problem:invalid-application"
    assert (table, 0, column, rule) in {
        (e["table"], e.get("row"), e.get("column"), e["rule"]) for e in problem["errors"]
    }
    assert "987654321" not in reply.body.decode()


def test_positive_days_are_explained(shared: Client, portfolio: Portfolio) -> None:
    body = whole(portfolio, A)
    body["applications"][0]["DAYS_BIRTH"] = 9000
    assert "negative" in shared.post("/predict", body).json()["errors"][0]["message"]


@pytest.mark.parametrize(
    ("column", "value"), [("DAYS_EMPLOYED", 365243), ("DAYS_BIRTH", -9000.0), ("AMT_CREDIT", 5), ("AMT_ANNUITY", None)]
)
def test_what_the_contract_allows_is_accepted(shared: Client, portfolio: Portfolio, column: str, value: Any) -> None:
    body = whole(portfolio, A)
    body["applications"][0][column] = value
    assert shared.post("/predict", body).status == 200


def test_every_broken_field_is_listed_at_once(shared: Client, portfolio: Portfolio) -> None:
    body = whole(portfolio, A, B)
    body["applications"][0] |= {"AMT_CREDIT": -1, "CODE_GENDER": "Z"}
    body["applications"][1] |= {"AMT_CREDIT": "much"}
    problem = shared.post("/predict", body).json()
    assert {(e["row"], e["column"]) for e in problem["errors"]} == {
        (0, "AMT_CREDIT"),
        (0, "CODE_GENDER"),
        (1, "AMT_CREDIT"),
    }
    assert problem["errors_total"] == 3


def test_the_same_applicant_twice_fails_both(shared: Client, portfolio: Portfolio) -> None:
    body = whole(portfolio, A, B)
    body["applications"].append(body["applications"][0])
    body["applicant_ids"] = [A]
    answer = shared.post("/predict", body).json()
    assert [d["applicant_id"] for d in answer["decisions"]] == [B]
    assert {(e["table"], e["row"]) for e in answer["errors"]} == {
        ("applications", 0),
        ("applications", 2),
        ("applicant_ids", 0),
    }
    assert {e["rule"] for e in answer["errors"]} == {"duplicate_applicant"}


def test_the_same_history_row_twice_fails_its_applicant(shared: Client, portfolio: Portfolio) -> None:
    body = whole(portfolio, A, B)
    body["histories"]["bureau"].append(body["histories"]["bureau"][0])
    answer = shared.post("/predict", body).json()
    assert [d["applicant_id"] for d in answer["decisions"]] == [B]
    assert "duplicate_key" in {e["rule"] for e in answer["errors"]}


@pytest.mark.parametrize(
    "change",
    [
        setting("bureau", "SK_ID_CURR", 555_555),
        setting("bureau", "SK_ID_CURR", "x"),
        setting("bureau_balance", "SK_ID_BUREAU", 555_555),
        setting("installments_payments", "SK_ID_CURR", 555_555),
    ],
)
def test_a_history_row_of_nobody_refuses_the_request(shared: Client, portfolio: Portfolio, change: Break) -> None:
    body = whole(portfolio, A)
    change(body)
    problem = shared.post("/predict", body).json()
    assert problem["status"] == 422
    assert "unknown_applicant" in {e["rule"] for e in problem["errors"]}
    assert "555555" not in json.dumps(problem)


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ({}, "empty"),
        ({"applications": []}, "empty"),
        ({"applications": {}}, "type"),
        ({"applications": None}, "type"),
        ({"applications": [3]}, "type"),
        ({"applicant_ids": ["100001"]}, "type"),
        ({"applicant_ids": [100001], "histories": {"bureaux": []}}, "unknown_table"),
        ({"applicant_ids": [100001], "histories": []}, "type"),
        ({"applicant_ids": [100001], "threshold": 0.9}, "unknown_table"),
        ([], "type"),
        (3, "type"),
    ],
)
def test_a_body_of_another_shape_is_refused(shared: Client, body: Any, rule: str) -> None:
    reply = shared.post("/predict", body)
    assert reply.status == 422
    assert reply.json()["errors"][0]["rule"] == rule


def test_a_name_that_may_be_data_is_not_repeated(shared: Client, portfolio: Portfolio) -> None:
    body = whole(portfolio, A)
    body["applications"][0]["Jane Doe, 12 High Street"] = 1
    reply = shared.post("/predict", body)
    assert "Jane" not in reply.body.decode()
    assert reply.json()["errors"][0]["column"] == "(not a column name)"


@pytest.mark.parametrize("body", [b"", b"{", b'{"applications": [}', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_is_400(shared: Client, body: bytes) -> None:
    reply = shared.post("/predict", body)
    assert reply.status == 400
    assert reply.json()["type"] == "urn:creditrisk:problem:malformed-body"


def test_another_media_type_is_415(shared: Client) -> None:
    assert shared.post("/predict", b"a=1", content_type="application/x-www-form-urlencoded").status == 415


def test_unknown_routes_and_methods_are_problems_too(shared: Client) -> None:
    assert shared.get("/nothing").json()["type"] == "urn:creditrisk:problem:no-such-route"
    reply = shared.get("/predict")
    assert reply.json()["type"] == "urn:creditrisk:problem:method-not-allowed"
    assert reply.headers["allow"] == "POST"


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_past_the_limit_is_413(published: Published, declared: bool) -> None:
    with Client(published.home, max_body_bytes=1024) as client:
        body = b" " * 1025
        length = {"content_length": str(len(body))} if declared else {}
        reply = client.post("/predict", body, **length)
        assert reply.status == 413
        assert reply.json()["type"] == "urn:creditrisk:problem:body-too-large"


def test_too_many_rows_are_413(published: Published, portfolio: Portfolio) -> None:
    with Client(published.home, max_applicants=1, max_history_rows=3) as client:
        assert (
            client.post("/predict", {"applicant_ids": [A, B]}).json()["type"] == "urn:creditrisk:problem:too-many-rows"
        )
        assert client.post("/predict", whole(portfolio, A)).status == 413
        assert client.post("/predict", {"applicant_ids": [A]}).status == 200


@pytest.mark.parametrize("text", ["a\u0000b", "\U0001f600" * 64, "'; drop table decisions; --", "\\", '"'])
def test_odd_text_harms_nobody(shared: Client, portfolio: Portfolio, text: str) -> None:
    body = whole(portfolio, A, B)
    body["applications"][0]["ORGANIZATION_TYPE"] = text
    answer = shared.post("/predict", body).json()
    assert B in [d["applicant_id"] for d in answer["decisions"]]


def test_values_the_sql_cannot_take_fail_their_applicant_only(published: Published, portfolio: Portfolio) -> None:
    plan = render_plan()
    family = plan["families"]["application"]
    family["sql"] = (
        f"select f.* from ({family['sql']}) as f where"
        " (select count(error(ORGANIZATION_TYPE)) from application where ORGANIZATION_TYPE = 'CANARY') = 0"
    )
    train_bundle(published.joined, published.home, published.home / "made" / "fussy", seed=3, plan=plan)
    publish(published.home / "made" / "fussy", published.home)
    body = whole(portfolio, A, B)
    body["applications"][0]["ORGANIZATION_TYPE"] = "CANARY"
    with Client(published.home) as client:
        reply = client.post("/predict", body)
        assert [d["applicant_id"] for d in reply.json()["decisions"]] == [B]
        assert [(e["row"], e["rule"]) for e in reply.json()["errors"]] == [(0, "not_computable")]
        assert b"CANARY" not in reply.body


def test_infinite_features_fail_their_applicant_only(published: Published, portfolio: Portfolio) -> None:
    plan = render_plan()
    family = plan["families"]["application"]
    family["sql"] = (
        "select f.* replace (case when a.ORGANIZATION_TYPE = 'CANARY' then cast('inf' as double) else f.application__income_amt end"
        f" as application__income_amt) from ({family['sql']}) as f join application as a on a.SK_ID_CURR = f.sk_id_curr"
    )
    train_bundle(published.joined, published.home, published.home / "made" / "endless", seed=3, plan=plan)
    publish(published.home / "made" / "endless", published.home)
    body = whole(portfolio, A, B)
    body["applications"][0]["ORGANIZATION_TYPE"] = "CANARY"
    with Client(published.home) as client:
        reply = client.post("/predict", body)
        assert [d["applicant_id"] for d in reply.json()["decisions"]] == [B]
        (error,) = reply.json()["errors"]
        assert (error["row"], error["rule"]) == (0, "not_computable")
        assert "application__income_amt is infinite" in error["message"]
        assert b"CANARY" not in reply.body


def test_validate_answers_what_predict_would_refuse_and_stores_nothing(client: Client, portfolio: Portfolio) -> None:
    body = whole(portfolio, A, B)
    body["applications"][0]["AMT_CREDIT"] = -1
    found = client.post("/validate", body).json()
    assert (found["valid"], found["applicants"], found["failed"]) == (False, 2, 1)
    assert found["errors"][0]["column"] == "AMT_CREDIT"
    assert client.post("/validate", whole(portfolio, A)).json()["valid"] is True
    assert client.post("/validate", {}).json()["valid"] is False
    assert client.post("/validate", b"{").status == 400
    assert not (client.settings.platform.root / "decisions.db").exists()


def test_the_schema_lists_every_column_with_its_rules(shared: Client) -> None:
    schema = shared.get("/schema").json()
    application = schema["$defs"]["application"]
    assert application["additionalProperties"] is False
    assert application["properties"]["DAYS_BIRTH"]["maximum"] < 0
    assert "F" in application["properties"]["CODE_GENDER"]["enum"]
    assert {"enum": [365243]} in application["properties"]["DAYS_EMPLOYED"]["anyOf"]
    assert "AMT_CREDIT" in application["required"]
    assert set(schema["$defs"]["Histories"]["properties"]) >= {"bureau", "pos_cash_balance"}
