"""SageMaker's routes answer what the service's own do."""

import csv
import io
import json
from typing import Any

import pytest

from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.portfolio import FIRST_ID, Portfolio
from creditrisk_serving.sagemaker.rows import json_of_csv

COLUMNS = [{"name": "SK_ID_CURR", "type": "int"}, {"name": "AMT", "type": "float"}, {"name": "KIND", "type": "str"}]


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue().encode()


def outcomes(answer: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(d["applicant_id"], d["row"], d["pd"], d["decision"], d["points"]) for d in answer["decisions"]]


def test_ping_is_ready_without_a_body(shared: Client, published: Published) -> None:
    reply = shared.get("/ping", x_api_key="")
    assert (reply.status, reply.body) == (200, b"")
    (published.home / "bundles" / "CURRENT").unlink()
    with Client(published.home) as client:
        assert client.get("/ping").status == 503


def test_json_and_csv_get_the_answer_of_predict(shared: Client, portfolio: Portfolio) -> None:
    rows = portfolio.tables["application"][:5]
    expected = outcomes(shared.post("/predict", {"applications": rows}).json())
    assert len(expected) == 5
    assert outcomes(shared.post("/invocations", {"applications": rows}).json()) == expected
    reply = shared.post("/invocations", as_csv(rows), content_type="text/csv; charset=utf-8")
    assert reply.headers["content-type"] == "application/json"
    assert outcomes(reply.json()) == expected


def test_csv_of_ids_names_known_applicants(shared: Client) -> None:
    reply = shared.post("/invocations", f"SK_ID_CURR\n{FIRST_ID}\n".encode(), content_type="text/csv")
    expected = shared.post("/predict", {"applicant_ids": [FIRST_ID]})
    assert outcomes(reply.json()) == outcomes(expected.json())


def test_a_line_of_csv_that_breaks_a_rule_is_named(shared: Client, portfolio: Portfolio) -> None:
    rows = [dict(row) for row in portfolio.tables["application"][:2]]
    rows[1] |= {"AMT_CREDIT": "much", "AMT_ANNUITY": "NaN"}
    answer = shared.post("/invocations", as_csv(rows), content_type="text/csv").json()
    assert {(e["row"], e["column"], e["rule"]) for e in answer["errors"]} == {
        (1, "AMT_CREDIT", "type"),
        (1, "AMT_ANNUITY", "type"),
    }
    assert [d["row"] for d in answer["decisions"]] == [0]


@pytest.mark.parametrize(
    "body",
    [b"", b"\n", b"\xff\xfe", b"SK_ID_CURR,SK_ID_CURR\n1,2\n", b"SK_ID_CURR,AMT\n1\n", b'SK_ID_CURR\n"1'],
)
def test_what_is_no_csv_is_400(shared: Client, body: bytes) -> None:
    reply = shared.post("/invocations", body, content_type="text/csv")
    assert reply.status == 400
    assert reply.json()["type"] == "urn:creditrisk:problem:malformed-body"


def test_another_media_type_is_415(shared: Client) -> None:
    assert shared.post("/invocations", b"x", content_type="application/x-parquet").status == 415


def test_a_key_may_come_in_the_custom_attributes(shared: Client) -> None:
    body = json.dumps({"applicant_ids": [FIRST_ID]}).encode()

    def status(attributes: str) -> int:
        headers = {"content_type": "application/json", "x_amzn_sagemaker_custom_attributes": attributes}
        return shared.run(_without_key(shared, body, headers)).status

    assert status(f"X-API-Key={shared.key}") == 200
    assert status("X-API-Key=crk_no") == status(shared.key) == status("") == 401


async def _without_key(client: Client, body: bytes, headers: dict[str, str]) -> Any:
    from creditrisk_serving.inprocess import call

    return await call(
        client.app, "POST", "/invocations", body=body, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SK_ID_CURR,AMT,KIND\n1,2.5,a\n", {"applications": [{"SK_ID_CURR": 1, "AMT": 2.5, "KIND": "a"}]}),
        ("\ufeffSK_ID_CURR,AMT\r\n1,\r\n", {"applications": [{"SK_ID_CURR": 1}]}),
        ("SK_ID_CURR,KIND\n1,7\n", {"applications": [{"SK_ID_CURR": 1, "KIND": "7"}]}),
        ('SK_ID_CURR,KIND\n1,"a, ""b"""\n', {"applications": [{"SK_ID_CURR": 1, "KIND": 'a, "b"'}]}),
        ("SK_ID_CURR,OTHER\n1,7\n", {"applications": [{"SK_ID_CURR": 1, "OTHER": "7"}]}),
        ("SK_ID_CURR,AMT\n1.0,inf\n", {"applications": [{"SK_ID_CURR": 1.0, "AMT": "inf"}]}),
        ("SK_ID_CURR\n1\n2\n", {"applicant_ids": [1, 2]}),
        ("SK_ID_CURR\n", {"applicant_ids": []}),
    ],
)
def test_csv_is_read_by_the_types_of_the_columns(text: str, expected: dict[str, Any]) -> None:
    assert json.loads(json_of_csv(text.encode(), COLUMNS)) == expected
