"""Recourse: what would change a decision, each suggestion scored again by the service, in bounds, sparse, and no decision itself."""

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.features.lineage import applicant_lineage
from creditrisk_assets.modelling.bundle import BundleFeature
from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.portfolio import Portfolio
from creditrisk_serving.recourse.actions import Held, Step, combinations, load_actions, taken
from creditrisk_serving.recourse.known import KnownApplicant
from creditrisk_serving.recourse.search import MOST_STEPS, MOST_SUGGESTIONS, MOST_TRIES, Search

ACTIONS, POLICY = load_actions(), load_policy()
BY_NAME = {action.name: action for action in ACTIONS.actions}
LOAN = {"SK_ID_CURR": 1, "AMT_CREDIT": 120_000.0, "AMT_ANNUITY": 6_000.0, "AMT_GOODS_PRICE": 100_000.0}
SENT: dict[str, Any] = {"application": LOAN, "histories": {}}
OWED = {"SK_ID_CURR": 1, "CREDIT_ACTIVE": "Active", "AMT_CREDIT_SUM_DEBT": 40_000.0, "AMT_CREDIT_SUM_OVERDUE": 0.0}


def step(name: str, factor: float) -> Step:
    return Step(BY_NAME[name], factor)


def test_actions_are_on_raw_columns_that_no_prohibition_names() -> None:
    prohibited = {one.column for one in POLICY.prohibited.attributes}
    for action in ACTIONS.actions:
        table = "application_test" if action.table == "application" else action.table
        assert set(action.columns) <= {column.name for column in SOURCES[table].columns} - prohibited
        assert set(action.where) <= {column.name for column in SOURCES[table].columns}
        assert all(factor >= 0 for factor in action.factors)


def test_a_step_moves_its_columns_in_round_numbers_and_leaves_what_was_sent() -> None:
    found = taken(ACTIONS, SENT, (step("smaller_loan", 0.9), step("longer_term", 0.9)))
    assert found is not None
    changed, moves = found
    assert changed["application"] == {**LOAN, "AMT_CREDIT": 108_000.0, "AMT_ANNUITY": 4_900.0}
    assert [(move.column, move.before, move.after) for one in moves for move in one] == [
        ("AMT_CREDIT", 120_000.0, 108_000.0),
        ("AMT_ANNUITY", 6_000.0, 5_400.0),
        ("AMT_ANNUITY", 5_400.0, 4_900.0),
    ]
    assert SENT["application"]["AMT_CREDIT"] == 120_000.0


def test_debts_are_repaid_on_running_loans_alone_and_only_where_they_were_sent() -> None:
    rows = [dict(OWED), {**OWED, "CREDIT_ACTIVE": "Closed"}, {**OWED, "AMT_CREDIT_SUM_DEBT": None}]
    found = taken(ACTIONS, {"application": LOAN, "histories": {"bureau": rows}}, (step("repay_debts", 0.5),))
    assert found is not None
    assert [row["AMT_CREDIT_SUM_DEBT"] for row in found[0]["histories"]["bureau"]] == [20_000.0, 40_000.0, None]
    assert rows[0] == OWED
    assert taken(ACTIONS, SENT, (step("repay_debts", 0.5),)) is None


@pytest.mark.parametrize(("annuity", "inside"), [(2_600.0, True), (2_400.0, False)])
def test_no_suggestion_leaves_the_terms_there_are(annuity: float, inside: bool) -> None:
    sent = {"application": {**LOAN, "AMT_ANNUITY": annuity}, "histories": {}}
    assert (taken(ACTIONS, sent, (step("longer_term", 0.8),)) is not None) is inside


def test_of_a_group_one_action_is_taken_at_a_time() -> None:
    for size in range(1, MOST_STEPS + 1):
        for steps in combinations(ACTIONS, size):
            assert len({one.action.group for one in steps}) == len(steps) == size


def scored(pd: float, value: float = 0.0) -> Any:
    outcome = POLICY.decide(pd, {"application__income_amt": 1e5, "application__annuity_income_ratio": 0.1})
    numbers = np.array([value], dtype=np.float32)
    return SimpleNamespace(pd=pd, margin=pd, numbers=numbers, outcome=outcome)


def search(rescore: Any, *, monotone: int = 0, now: float = 0.2) -> Any:
    feature = BundleFeature("x", "application", "numeric", monotone=monotone)  # type: ignore[arg-type]
    return Search(ACTIONS, [feature], SENT, scored(now), rescore).run()


def by_credit(application: Mapping[str, Any]) -> Any:
    """A model for which only the amount counts."""
    credit = application["application"]["AMT_CREDIT"]
    return scored(0.2 * credit / 120_000.0, credit)


def test_the_smallest_change_that_is_approved_is_told_and_nothing_more_than_needed() -> None:
    found = search(by_credit)
    assert [sorted(way.actions) for way in found.ways] == [["smaller_loan"], ["cheaper_goods"]]
    assert {one.factor for way in found.ways for one in way.steps} == {0.5}  # 0.6 gives a PD of exactly the cut-off
    assert all(way.scored.outcome.decision == "approve" for way in found.ways)
    assert found.moved.tolist() == [True]


def test_a_change_that_takes_two_steps_is_found() -> None:
    def both(application: Mapping[str, Any]) -> Any:
        row = application["application"]
        return scored(0.05 if row["AMT_CREDIT"] < 70_000 and row["AMT_CREDIT"] / row["AMT_ANNUITY"] > 30 else 0.2)

    assert {len(way.steps) for way in search(both).ways} == {2}


def test_what_the_policy_says_can_only_raise_the_pd_is_never_suggested() -> None:
    assert search(lambda a: scored(0.05, value=1.0), monotone=1).ways == []
    assert search(lambda a: scored(0.05, value=1.0), monotone=-1).ways != []


def test_tries_are_bounded_and_what_does_not_help_is_not_told() -> None:
    asked = []

    def stubborn(application: Mapping[str, Any]) -> Any:
        asked.append(application)
        return scored(0.2)

    sent = {"application": LOAN, "histories": {"bureau": [dict(OWED)]}}
    feature = BundleFeature("x", "application", "numeric")
    found = Search(ACTIONS, [feature], sent, scored(0.2), stubborn).run()
    assert found.ways == []
    assert found.tries == MOST_TRIES == len(asked) + 1


def test_a_decline_may_become_a_referral_and_a_lower_pd_alone_is_no_suggestion() -> None:
    found = search(lambda a: scored(0.25), now=0.5)
    assert {way.scored.outcome.decision for way in found.ways} == {"refer"}
    assert search(lambda a: scored(0.15), now=0.2).ways == []


@pytest.fixture(scope="module")
def answers(shared: Client, portfolio: Portfolio) -> dict[str, Any]:
    """Answers for everybody who is not approved, by decision."""
    rows = [
        {**portfolio.application(one), "AMT_CREDIT": 120_000.0, "AMT_ANNUITY": 6_000.0} for one in portfolio.applicants
    ]
    decided = shared.post("/predict", {"applications": rows[:24]}).json()["decisions"]
    told = {one["decision_id"]: one for one in decided if one["decision"] != "approve"}
    assert told
    return {one: shared.post("/recourse", {"decision_id": one}).json() | {"was": told[one]} for one in told}


def test_every_suggestion_holds_when_it_is_sent(shared: Client, portfolio: Portfolio, answers: dict[str, Any]) -> None:
    suggested = [(answer, one) for answer in answers.values() for one in answer["suggestions"]]
    assert suggested
    for answer, one in suggested:
        row = {**portfolio.application(answer["was"]["applicant_id"]), "AMT_CREDIT": 120_000.0, "AMT_ANNUITY": 6_000.0}
        for field in (field for change in one["changes"] for field in change["fields"]):
            assert row[field["column"]] == field["before"]
            row[field["column"]] = field["after"]
        estimate = shared.post("/what-if", {"applications": [row]}).json()["estimates"][0]
        assert (one["pd"], one["outcome"], one["points"]) == (estimate["pd"], estimate["outcome"], estimate["points"])


def test_an_answer_is_bounded_and_says_why_there_is_nothing(answers: dict[str, Any]) -> None:
    for answer in answers.values():
        assert answer["tried"] <= MOST_TRIES
        assert len(answer["suggestions"]) <= MOST_SUGGESTIONS
        assert (answer["none_because"] == "") == bool(answer["suggestions"])
        assert answer["pd_now"] == answer["was"]["pd"]
        assert answer["fixed"]
        assert any("Repay debts" in words for words in answer["not_tried"])
        raised = {one["feature"] for one in answer["was"]["contributions"]}
        assert set(answer["out_of_reach"]) <= raised


def test_it_is_no_decision(client: Client, portfolio: Portfolio) -> None:
    decided = client.post("/predict", {"applications": [portfolio.application(one) for one in portfolio.applicants]})
    one = next(one for one in decided.json()["decisions"] if one["decision"] != "approve")
    before = client.get("/metrics").body
    assert client.post("/recourse", {"decision_id": one["decision_id"]}).json()["stored"] is False
    assert client.service.log.flush()
    with client.service.log.database.begin() as connection:
        count = connection.exec_driver_sql("select count(*) from decisions").scalar_one()
    assert count == decided.json()["scored"]
    counted = [line for line in before.splitlines() if line.startswith(b"creditrisk_decisions_total")]
    assert all(line in client.get("/metrics").body for line in counted)


@pytest.fixture(scope="module")
def known(shared: Client, portfolio: Portfolio) -> list[dict[str, Any]]:
    """Answers for everybody who is not approved by published features alone, asked by decision."""
    decided = shared.post("/predict", {"applicant_ids": portfolio.applicants}).json()["decisions"]
    told = [one for one in decided if one["decision"] != "approve"]
    return [shared.post("/recourse", {"decision_id": one["decision_id"]}).json() | {"was": one} for one in told]


def test_of_a_known_applicant_every_suggestion_holds_when_the_application_is_sent(
    shared: Client, portfolio: Portfolio, known: list[dict[str, Any]]
) -> None:
    suggested = [(answer, one) for answer in known for one in answer["suggestions"]]
    assert suggested
    for answer, one in suggested:
        row = dict(portfolio.application(answer["applicant_id"]))
        for field in (field for change in one["changes"] for field in change["fields"]):
            assert row[field["column"]] == field["before"]
            row[field["column"]] = field["after"]
        estimate = shared.post("/what-if", {"applications": [row]}).json()["estimates"][0]
        assert (one["pd"], one["outcome"], one["points"]) == (estimate["pd"], estimate["outcome"], estimate["points"])


def test_a_known_applicant_is_asked_about_by_id_and_its_states_are_carried(
    shared: Client, known: list[dict[str, Any]]
) -> None:
    for answer in known:
        assert answer["families"] == answer["was"]["families"]
        assert answer["pd_now"] == answer["was"]["pd"]
        by_id = shared.post("/recourse", {"applicant_id": answer["applicant_id"]}).json()
        assert (by_id["decision_id"], by_id["decision"]) == (None, None)
        same = (
            "suggestions",
            "families",
            "pd_now",
            "outcome_now",
            "tried",
            "out_of_reach",
            "not_tried",
            "applicant_id",
        )
        assert {name: by_id[name] for name in same} == {name: answer[name] for name in same}


def test_everything_that_follows_from_an_action_is_made_of_columns_that_are_read_back() -> None:
    acted = {column for one in ACTIONS.actions if one.table == "application" for column in one.columns}
    made_of = {
        name: {column for table, column in origins if table.startswith("application_")}
        for name, origins in applicant_lineage().items()
    }
    lacking = {name for name, columns in made_of.items() if columns & acted and columns - set(ACTIONS.read_back)}
    # They count what is unknown, and no action makes anything known.
    assert lacking == {"application__missing_count", "application__loan_missing_count"}
    for column, held in ACTIONS.read_back.items():
        assert made_of[held.feature] == {column}


def test_a_change_is_carried_only_if_what_moves_follows_from_what_was_read_back(
    shared: Client, portfolio: Portfolio
) -> None:
    champion = shared.service.scoring.champion()
    refused = 0
    for applicant in portfolio.applicants[:20]:
        now = shared.service.scoring.estimate(champion, json.dumps({"applicant_ids": [applicant]}).encode())
        one = KnownApplicant(champion, now, ACTIONS.read_back)
        assert one.rescore(one.sent).margin == now.margin
        # 1.5 persons of a family are drawn, and counted whole: what is told per member does not follow from the count.
        drawn = portfolio.application(applicant)["CNT_FAM_MEMBERS"]
        smaller = {"application": {**one.sent["application"], "AMT_CREDIT": 100.0}, "histories": {}}
        assert (one.rescore(smaller) is None) is (drawn is not None and drawn != int(drawn))
        refused += one.rescore(smaller) is None
        older = {**ACTIONS.read_back, "X": Held(feature="application__of_another_release")}
        assert KnownApplicant(champion, now, older).sent["application"] == {}
    assert 0 < refused < 20


def test_what_it_cannot_be_asked_about_is_refused_with_the_reason(shared: Client, portfolio: Portfolio) -> None:
    decisions = shared.post("/predict", {"applicant_ids": portfolio.applicants}).json()["decisions"]
    approved = next(one["decision_id"] for one in decisions if one["decision"] == "approve")
    sent = {
        "applicant_ids": portfolio.applicants[1:4],
        "histories": {
            name: [row for one in portfolio.applicants[1:4] for row in portfolio.histories(one)[name]]
            for name in ("bureau",)
        },
    }
    mixed = [one for one in shared.post("/predict", sent).json()["decisions"] if one["decision"] != "approve"]
    asked = [({"decision_id": approved}, "it is approved"), ({"applicant_id": 1}, "no published features")]
    asked += [({"decision_id": one["decision_id"]}, "histories were sent") for one in mixed[:1]]
    assert len(asked) == 3
    for body, words in asked:
        reply = shared.post("/recourse", body)
        assert (reply.status, reply.json()["type"]) == (409, "urn:creditrisk:problem:no-recourse")
        assert words in reply.json()["detail"]
    assert shared.post("/recourse", {"decision_id": "0" * 32}).status == 404


def test_of_an_erased_applicant_nothing_can_be_said(client: Client, portfolio: Portfolio) -> None:
    decided = client.post("/predict", {"applications": [portfolio.application(one) for one in portfolio.applicants]})
    one = next(one for one in decided.json()["decisions"] if one["decision"] != "approve")
    assert client.service.log.flush()
    client.service.log.database.erase(one["applicant_id"])
    reply = client.post("/recourse", {"decision_id": one["decision_id"]})
    assert (reply.status, "erased" in reply.json()["detail"]) == (409, True)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        ([], 422),
        ({}, 422),
        ({"decision_id": "a" * 65}, 422),
        ({"decision_id": "a", "x": 1}, 422),
        ({"decision_id": "a", "applicant_id": 1}, 422),
        ({"applicant_id": "1"}, 422),
        ({"applicant_id": 0}, 422),
    ],
)
def test_a_malformed_request_is_refused_and_not_repeated(shared: Client, body: Any, status: int) -> None:
    assert shared.post("/recourse", body).status == status
