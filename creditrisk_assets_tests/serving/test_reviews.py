"""Reviews: who decided a referral, kept beside the decision and chained like it."""

from pathlib import Path
from typing import Any

import pytest

from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.portfolio import Portfolio
from creditrisk_assets_tests.serving.records import record
from creditrisk_assets_tests.serving.test_journal import break_database, leave_behind, rows, started, wait_until
from creditrisk_assets_tests.serving.test_verification import change, verify
from creditrisk_serving.access import Caller
from creditrisk_serving.decisions.review import review

GOOD = {"reviewer": "A. Person", "outcome": "approve", "reason": "Payslips seen.\nIncome holds."}


def decided(client: Client, portfolio: Portfolio, *, referral: bool) -> str:
    decisions = client.post("/predict", {"applicant_ids": portfolio.applicants}).json()["decisions"]
    return next(one["decision_id"] for one in decisions if (one["decision"] == "refer") == referral)


def test_a_review_stands_beside_its_decision_and_the_last_one_holds(shared: Client, portfolio: Portfolio) -> None:
    one = decided(shared, portfolio, referral=True)
    before = shared.get(f"/decisions/{one}").json()
    assert before["reviews"] == []
    first = shared.post(f"/decisions/{one}/review", GOOD)
    assert first.status == 201
    second = shared.post(f"/decisions/{one}/review", {**GOOD, "outcome": "decline", "reviewer": "B"})
    after = shared.get(f"/decisions/{one}").json()
    assert after["reviews"] == [first.json(), second.json()]
    assert after | {"reviews": []} == before
    assert first.json() | GOOD == first.json()
    assert first.json()["caller"] == "test"
    assert shared.service.log.flush()
    assert shared.get(f"/decisions/{one}").json() == after


def test_only_referrals_are_reviewed(shared: Client, portfolio: Portfolio) -> None:
    one = decided(shared, portfolio, referral=False)
    reply = shared.post(f"/decisions/{one}/review", GOOD)
    assert (reply.status, reply.json()["type"]) == (409, "urn:creditrisk:problem:not-a-referral")
    assert shared.post(f"/decisions/{'0' * 32}/review", GOOD).status == 404


@pytest.mark.parametrize(
    ("body", "status", "column"),
    [
        (b"{", 400, None),
        (b'{"reviewer":"\xff"}', 400, None),
        ([], 422, None),
        ({**GOOD, "CANARY": "CANARY"}, 422, None),
        ({"reviewer": "a", "outcome": "approve"}, 422, "reason"),
        ({**GOOD, "outcome": "CANARY"}, 422, "outcome"),
        ({**GOOD, "reviewer": "   "}, 422, "reviewer"),
        ({**GOOD, "reason": "CANARY\0"}, 422, "reason"),
        ({**GOOD, "reason": "CANARY" * 400}, 422, "reason"),
    ],
)
def test_a_malformed_review_is_refused_by_field_and_not_repeated(
    shared: Client, body: Any, status: int, column: str | None
) -> None:
    reply = shared.post(f"/decisions/{'0' * 32}/review", body)
    assert reply.status == status
    assert b"CANARY" not in reply.body
    if status == 422:
        assert reply.json()["errors"][0].get("column") == column


def test_a_review_is_in_the_chain_of_its_writer(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'decisions.db'}"
    with started(tmp_path) as log:
        log.store([record(decision_id="a")])
        review(log, "a", b'{"reviewer":"A","outcome":"approve","reason":"seen"}', "r", Caller("k"))
        log.store([record(decision_id="b")])
    assert [finding.kind for finding in verify(url, tmp_path / "none").findings] == []
    assert verify(url, tmp_path / "none").records == 3
    change(url, "update reviews set outcome = 'decline'")
    (found,) = verify(url, tmp_path / "none").findings
    assert (found.kind, found.sequence) == ("changed", 2)
    change(url, "delete from reviews")
    (found,) = verify(url, tmp_path / "none").findings
    assert (found.kind, found.sequence) == ("removed", 2)


def test_a_review_waits_in_the_journal_while_the_database_is_away(tmp_path: Path) -> None:
    leave_behind(tmp_path, ["a"])
    with started(tmp_path) as log:
        wait_until(lambda: "a" in rows(tmp_path))
        mend = break_database(tmp_path)
        log.store([record(decision_id="b")])
        made = review(log, "b", b'{"reviewer":"A","outcome":"approve","reason":"seen"}', "r", Caller("k"))
        mend()
        wait_until(lambda: log.flush(1))
        assert log.reviews("b") == [made]
