"""The decision log: complete, readable at once, and nothing leaves that it does not hold."""

import sqlite3
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.portfolio import FIRST_ID, Portfolio
from creditrisk_serving.decisions.log import new_decision_id


def taken(client: Client) -> list[tuple[object, ...]]:
    """The rows, once the database has all of the journal."""
    assert client.service.log.flush()
    return rows(client.settings.platform.root)


def rows(home: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(home / "decisions.db") as connection:
        found = connection.execute("select decision_id, request_id, applicant_id, pd from decisions").fetchall()
    connection.close()
    return found


def test_every_answer_is_stored_and_can_be_read_back(shared: Client, portfolio: Portfolio) -> None:
    body = {"applications": [portfolio.application(FIRST_ID)], "histories": portfolio.histories(FIRST_ID)}
    answer = shared.post("/predict", body).json()
    (decision,) = answer["decisions"]
    record = shared.get(f"/decisions/{decision['decision_id']}").json()
    for name in (
        "decision_id",
        "applicant_id",
        "pd",
        "decision",
        "band",
        "rule",
        "families",
        "model_version",
        "policy_version",
    ):
        assert record[name] == decision[name]
    assert record["request_id"] == answer["request_id"]
    assert record["bundle_sha256"] == answer["bundle_sha256"]
    assert record["caller"] == "test"
    assert record["decided_at"].endswith("+00:00")
    sent = {name: value for name, value in body["applications"][0].items() if value is not None}
    assert record["input"] == {"application": sent, "histories": body["histories"]}
    assert record["feature_versions"] == {}


def test_looked_up_features_are_stored_with_their_versions(shared: Client) -> None:
    (decision,) = shared.post("/predict", {"applicant_ids": [FIRST_ID]}).json()["decisions"]
    record = shared.get(f"/decisions/{decision['decision_id']}").json()
    assert record["feature_versions"] == shared.get("/metadata").json()["data"]["looked_up_in"]
    assert len(record["feature_versions"]) == 6
    assert record["input"] == {"application": None, "histories": {}}


def test_a_log_of_a_release_without_hard_rules_gets_their_column_and_keeps_its_rows(published: Published) -> None:
    with Client(published.home) as client:
        (old,) = client.post("/predict", {"applicant_ids": [FIRST_ID]}).json()["decisions"]
    with sqlite3.connect(published.home / "decisions.db") as connection:
        connection.execute("alter table decisions drop column rule")
    connection.close()
    with Client(published.home) as client:
        (new,) = client.post("/predict", {"applicant_ids": [FIRST_ID]}).json()["decisions"]
        assert client.get(f"/decisions/{new['decision_id']}").json()["rule"] == new["rule"]
        kept = client.get(f"/decisions/{old['decision_id']}").json()
        assert (kept["pd"], kept["rule"]) == (old["pd"], None)


def test_a_stored_decision_is_decided_again_from_what_is_stored(shared: Client, portfolio: Portfolio) -> None:
    policy = shared.service.scoring.champion().bundle.policy
    decisions = shared.post("/predict", {"applicant_ids": portfolio.applicants[:40]}).json()["decisions"]
    assert {decision["rule"] for decision in decisions} >= {None, "annuity_above_income"}
    for decision in decisions:
        record = shared.get(f"/decisions/{decision['decision_id']}").json()
        again = policy.decide(record["pd"], record["features"])
        assert (again.decision, again.band, again.rule) == (record["decision"], record["band"], record["rule"])


def test_a_stored_decision_scores_again_to_the_same_bit(shared: Client) -> None:
    (decision,) = shared.post("/predict", {"applicant_ids": [FIRST_ID]}).json()["decisions"]
    record = shared.get(f"/decisions/{decision['decision_id']}").json()
    bundle = shared.service.scoring.champion().bundle
    again = bundle.score(bundle.encode({name: [value] for name, value in record["features"].items()}))
    assert again.tolist() == [decision["pd"]]
    assert np.isfinite(again).all()


def test_a_batch_is_stored_whole(client: Client, portfolio: Portfolio) -> None:
    answer = client.post("/predict", {"applicant_ids": portfolio.applicants}).json()
    assert {row[0] for row in taken(client)} == {d["decision_id"] for d in answer["decisions"]}
    assert {row[1] for row in taken(client)} == {answer["request_id"]}


def test_nothing_is_answered_that_the_journal_does_not_take(published: Published) -> None:
    with Client(published.home) as client:
        (published.home / "journal").write_text("no directory")
        reply = client.post("/predict", {"applicant_ids": [FIRST_ID]})
        assert reply.status == 503
        assert reply.json()["type"] == "urn:creditrisk:problem:decision-not-stored"
        assert client.get("/ready").status == 503
        (published.home / "journal").unlink()
        assert client.post("/predict", {"applicant_ids": [FIRST_ID]}).status == 200
        assert client.get("/ready").status == 200


def test_answers_go_on_while_the_database_is_down_and_ready_says_so(client: Client) -> None:
    assert client.post("/predict", {"applicant_ids": [FIRST_ID]}).status == 200
    assert len(taken(client)) == 1
    with sqlite3.connect(client.settings.platform.root / "decisions.db") as connection:
        connection.execute("alter table decisions rename to away")
    connection.close()
    (decision,) = client.post("/predict", {"applicant_ids": [FIRST_ID]}).json()["decisions"]
    assert client.get(f"/decisions/{decision['decision_id']}").json()["pd"] == decision["pd"]
    assert not client.service.log.flush()
    ready = client.get("/ready")
    assert ready.status == 200
    assert "wait in the journal" in ready.json()["warnings"][0]
    with sqlite3.connect(client.settings.platform.root / "decisions.db") as connection:
        connection.execute("alter table away rename to decisions")
    connection.close()
    deadline = time.monotonic() + 60
    while not client.service.log.flush(1):
        assert time.monotonic() < deadline
    assert rows(client.settings.platform.root)[1][0] == decision["decision_id"]


@pytest.fixture
def committing(published: Published) -> Iterator[Client]:
    """An application whose answers wait for the database."""
    with Client(published.home, decisions_stored="database") as started:
        yield started


def test_nothing_is_answered_that_cannot_be_stored(committing: Client) -> None:
    client = committing
    assert client.post("/predict", {"applicant_ids": [FIRST_ID]}).status == 200
    stored = rows(client.settings.platform.root)
    with sqlite3.connect(client.settings.platform.root / "decisions.db") as connection:
        connection.execute("alter table decisions rename to away")
    connection.close()
    reply = client.post("/predict", {"applicant_ids": [FIRST_ID]})
    assert reply.status == 503
    assert reply.json()["type"] == "urn:creditrisk:problem:decision-not-stored"
    assert set(reply.json()) == {"type", "title", "status", "detail", "request_id"}
    assert reply.headers["retry-after"] == "5"
    assert client.get("/ready").status == 503
    with sqlite3.connect(client.settings.platform.root / "decisions.db") as connection:
        connection.execute("alter table away rename to decisions")
    connection.close()
    assert rows(client.settings.platform.root) == stored
    assert client.post("/predict", {"applicant_ids": [FIRST_ID]}).status == 200


def test_a_log_that_cannot_be_opened_is_not_ready_and_answers_nothing(published: Published) -> None:
    (published.home / "decisions.db").mkdir()
    with Client(published.home) as client:
        assert client.post("/predict", {"applicant_ids": [FIRST_ID]}).status == 503
        ready = client.get("/ready")
        assert ready.status == 503
        assert "decision log" in ready.json()["reasons"][0]
        (published.home / "decisions.db").rmdir()
        assert client.post("/predict", {"applicant_ids": [FIRST_ID]}).status == 200


def test_an_unknown_decision_is_404(shared: Client) -> None:
    assert shared.get(f"/decisions/{new_decision_id()}").status == 404


def test_only_the_owner_reads_the_log(shared: Client) -> None:
    shared.post("/predict", {"applicant_ids": [FIRST_ID]})
    for path in shared.settings.platform.root.glob("decisions.db*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_ids_sort_by_time_and_never_repeat() -> None:
    ids = [new_decision_id() for _ in range(2000)]
    assert len(set(ids)) == len(ids)
    assert [i[:12] for i in ids] == sorted(i[:12] for i in ids)


@pytest.mark.parametrize("path", ["sub/decisions.db"])
def test_the_log_is_where_the_setting_says(published: Published, tmp_path: Path, path: str) -> None:
    with Client(published.home, decisions_url=f"sqlite:///{tmp_path / path}") as client:
        assert client.post("/predict", {"applicant_ids": [FIRST_ID]}).status == 200
    assert (tmp_path / path).exists()


def test_a_log_deleted_under_the_service_swallows_no_decision(published: Published) -> None:
    with Client(published.home) as client:
        assert client.post("/predict", {"applicant_ids": [FIRST_ID]}).status == 200
        assert len(taken(client)) == 1
        for path in published.home.glob("decisions.db*"):
            path.unlink()
        answer = client.post("/predict", {"applicant_ids": [FIRST_ID]}).json()
    assert [row[0] for row in rows(published.home)] == [answer["decisions"][0]["decision_id"]]
