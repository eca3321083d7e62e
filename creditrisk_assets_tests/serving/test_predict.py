"""Scoring: both ways to the features agree, batches are partial, states say where features came from."""

from typing import Any

import pytest

from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.portfolio import FIRST_ID, HISTORIES, Portfolio

WITH_HISTORY, WITHOUT_HISTORY, STRANGER = FIRST_ID, FIRST_ID + 3, 999_999


def pds(answer: dict[str, Any]) -> dict[int, float]:
    return {decision["applicant_id"]: decision["pd"] for decision in answer["decisions"]}


def everything_sent(portfolio: Portfolio) -> dict[str, Any]:
    return {
        "applications": portfolio.tables["application"],
        "histories": {table: portfolio.tables[table] for table in HISTORIES},
    }


def test_sent_histories_and_looked_up_features_give_the_same_pd(shared: Client, portfolio: Portfolio) -> None:
    sent = shared.post("/predict", everything_sent(portfolio)).json()
    known = shared.post("/predict", {"applicant_ids": portfolio.applicants}).json()
    mixed = shared.post("/predict", {"applications": portfolio.tables["application"]}).json()
    assert len(pds(sent)) == len(portfolio.applicants)
    assert pds(sent) == pds(known) == pds(mixed)
    assert len(set(pds(sent).values())) > 20


def test_an_applicant_alone_scores_as_in_a_batch(shared: Client, portfolio: Portfolio) -> None:
    together = pds(shared.post("/predict", everything_sent(portfolio)).json())
    for applicant in portfolio.applicants[:8]:
        body = {"applications": [portfolio.application(applicant)], "histories": portfolio.histories(applicant)}
        assert pds(shared.post("/predict", body).json()) == {applicant: together[applicant]}


def test_a_known_id_with_new_histories_is_scored_on_them(shared: Client, portfolio: Portfolio) -> None:
    own = {"applicant_ids": [WITH_HISTORY], "histories": portfolio.histories(WITH_HISTORY)}
    fewer = {"applicant_ids": [WITH_HISTORY], "histories": {"bureau": portfolio.histories(WITH_HISTORY)["bureau"][:1]}}
    looked_up = shared.post("/predict", {"applicant_ids": [WITH_HISTORY]}).json()
    assert pds(shared.post("/predict", own).json()) == pds(looked_up)
    states = shared.post("/predict", fewer).json()["decisions"][0]["families"]
    assert states["application"] == "present"
    assert states["bureau"] == "sent"
    assert states["installments"] == "no_history"


@pytest.mark.parametrize(
    ("applicant", "send_application", "send_histories", "application", "histories"),
    [
        (WITH_HISTORY, True, True, "sent", "sent"),
        (WITH_HISTORY, True, False, "sent", "present"),
        (WITH_HISTORY, False, False, "present", "present"),
        (WITHOUT_HISTORY, True, False, "sent", "no_history"),
        (WITHOUT_HISTORY, False, False, "present", "no_history"),
    ],
)
def test_states_say_where_features_came_from(
    shared: Client,
    portfolio: Portfolio,
    applicant: int,
    send_application: bool,
    send_histories: bool,
    application: str,
    histories: str,
) -> None:
    body: dict[str, Any] = {"applicant_ids": [applicant]}
    if send_application:
        body = {"applications": [portfolio.application(applicant)]}
    if send_histories:
        body["histories"] = portfolio.histories(applicant)
    states = shared.post("/predict", body).json()["decisions"][0]["families"]
    assert states.pop("application") == application
    assert set(states.values()) == {histories}
    assert len(states) == 5


def test_an_applicant_nobody_knows_is_scored_without_history(shared: Client, portfolio: Portfolio) -> None:
    body = {"applications": [{**portfolio.application(WITH_HISTORY), "SK_ID_CURR": STRANGER}]}
    answer = shared.post("/predict", body).json()
    assert set(answer["decisions"][0]["families"].values()) == {"sent", "no_history"}


def test_the_answer_names_model_policy_and_decision(shared: Client, template: Any) -> None:
    reply = shared.post("/predict", {"applicant_ids": [WITH_HISTORY]}, x_request_id="abc-1")
    answer = reply.json()
    (decision,) = answer["decisions"]
    policy = shared.service.scoring.champion().bundle.policy
    assert reply.status == 200
    assert answer["request_id"] == reply.headers["x-request-id"] == "abc-1"
    assert answer["model_version"] == decision["model_version"] == template.champion
    assert decision["policy_version"].startswith(f"{policy.version}-")
    assert 0 <= decision["pd"] <= 1
    features = shared.get(f"/decisions/{decision['decision_id']}").json()["features"]
    expected = policy.decide(decision["pd"], features)
    assert (decision["decision"], decision["band"], decision["rule"]) == (
        expected.decision,
        expected.band,
        expected.rule,
    )
    assert decision["points"] == policy.score.points(decision["pd"])
    assert answer["scored"] == 1
    assert answer["failed"] == answer["errors_total"] == 0


def test_rows_that_fail_are_reported_and_the_rest_scored(shared: Client, portfolio: Portfolio) -> None:
    good, other, third = (portfolio.application(a) for a in portfolio.applicants[:3])
    bad = {**other, "AMT_CREDIT": -1.0}
    body = {"applications": [bad, good], "applicant_ids": [third["SK_ID_CURR"], STRANGER]}
    reply = shared.post("/predict", body)
    answer = reply.json()
    assert reply.status == 200
    assert [(d["table"], d["row"]) for d in answer["decisions"]] == [("applications", 1), ("applicant_ids", 0)]
    assert (answer["scored"], answer["failed"]) == (2, 2)
    assert {(e["table"], e["row"], e["rule"]) for e in answer["errors"]} == {
        ("applications", 0, "minimum"),
        ("applicant_ids", 1, "unknown_applicant"),
    }


def test_a_bad_history_row_fails_its_own_applicant_only(shared: Client, portfolio: Portfolio) -> None:
    first, second = portfolio.applicants[0], portfolio.applicants[1]
    rows = portfolio.histories(first)["bureau"] + portfolio.histories(second)["bureau"]
    rows[0] = {**rows[0], "DAYS_CREDIT": 10}
    body = {
        "applications": [portfolio.application(first), portfolio.application(second)],
        "histories": {"bureau": rows},
    }
    answer = shared.post("/predict", body).json()
    assert [d["applicant_id"] for d in answer["decisions"]] == [second]
    assert {(e["table"], e["row"], e.get("column"), e["rule"]) for e in answer["errors"]} == {
        ("bureau", 0, "DAYS_CREDIT", "maximum"),
        ("applications", 0, None, "history_invalid"),
    }


def test_no_row_scored_is_422(shared: Client) -> None:
    reply = shared.post("/predict", {"applicant_ids": [STRANGER]})
    assert reply.status == 422
    assert reply.json()["errors"][0]["rule"] == "unknown_applicant"
