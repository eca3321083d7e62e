"""What-if: the figures POST /predict would answer, and no decision anywhere."""

from pathlib import Path

import pytest

from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.portfolio import FIRST_ID, Portfolio

STRANGER = 999_999
SAME = ("applicant_id", "table", "row", "pd", "band", "rule", "points", "families", "outside_training")


def test_it_says_what_predict_would_decide(shared: Client, portfolio: Portfolio) -> None:
    first, second = portfolio.applicants[:2]
    body = {
        "applications": [portfolio.application(first)],
        "histories": portfolio.histories(first),
        "applicant_ids": [second, *portfolio.applicants[2:], STRANGER],
    }
    estimated, predicted = (shared.post(route, body).json() for route in ("/what-if", "/predict"))
    assert len(estimated["estimates"]) == len(portfolio.applicants)
    for estimate, decision in zip(estimated["estimates"], predicted["decisions"], strict=True):
        assert {name: estimate[name] for name in SAME} == {name: decision[name] for name in SAME}
        assert estimate["outcome"] == decision["decision"]
    for name in ("model_version", "bundle_sha256", "policy_version", "scored", "failed", "errors", "errors_total"):
        assert estimated[name] == predicted[name]


def test_it_is_no_decision_and_leaves_none(client: Client) -> None:
    answer = client.post("/what-if", {"applicant_ids": [FIRST_ID]}, idempotency_key="what-if").json()
    assert answer["stored"] is False
    assert not {"decision_id", "decision"} & answer["estimates"][0].keys()
    metrics = client.get("/metrics").body.decode()
    assert "creditrisk_decisions_total{" not in metrics
    assert "creditrisk_pd_count 0.0" in metrics
    root = client.settings.platform.root
    assert not (root / "decisions.db").exists()
    assert _bytes_journalled(root / "journal") == b""
    client.post("/predict", {"applicant_ids": [FIRST_ID]})
    assert _bytes_journalled(root / "journal") != b"" or (root / "decisions.db").exists()


def _bytes_journalled(journal: Path) -> bytes:
    return b"".join(path.read_bytes().strip(b"\0") for path in journal.rglob("*.log"))


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), ({}, 422), ({"applicant_ids": [STRANGER]}, 422), ({"applications": [{"SK_ID_CURR": 1}]}, 422)],
)
def test_it_refuses_what_predict_refuses(shared: Client, body: object, status: int) -> None:
    asked, decided = shared.post("/what-if", body), shared.post("/predict", body)
    assert asked.status == decided.status == status
    assert {**asked.json(), "request_id": None} == {**decided.json(), "request_id": None}
    assert shared.post("/what-if", body, x_api_key="").status == 401
