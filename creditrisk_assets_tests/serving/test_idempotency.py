"""Idempotency keys: one key and body, one decision, whatever happens in between."""

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.portfolio import FIRST_ID
from creditrisk_assets_tests.serving.records import record
from creditrisk_assets_tests.serving.test_journal import break_database, rows, started, wait_until
from creditrisk_serving.decisions import idempotency
from creditrisk_serving.decisions.database import ANSWERS
from creditrisk_serving.decisions.idempotency import Claim, IdempotencyKeys
from creditrisk_serving.decisions.log import DecisionLog
from creditrisk_serving.errors import DecisionNotStoredError, IdempotencyKeyInUseError, IdempotencyKeyReusedError

KNOWN = {"applicant_ids": [FIRST_ID]}


@pytest.fixture(params=["sqlite", "postgresql"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DecisionLog]:
    """A log on each kind of database."""
    url = f"sqlite:///{tmp_path / 'decisions.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("empty_postgresql")
    found = DecisionLog(url, tmp_path / "journal")
    found.start()
    yield found
    found.close()


@pytest.fixture
def keys(log: DecisionLog) -> IdempotencyKeys:
    return IdempotencyKeys(log)


def claimed(keys: IdempotencyKeys, caller: str = "a", key: str = "k", body: bytes = b"{}") -> Claim:
    claim = keys.claim(caller, key, body)
    assert isinstance(claim, Claim)
    return claim


def test_the_stored_answer_is_given_at_once_and_after_the_database_has_it(
    log: DecisionLog, keys: IdempotencyKeys
) -> None:
    log.store([record()], claimed(keys).answered(b'{"a":1}'))
    assert keys.claim("a", "k", b"{}") == b'{"a":1}'
    assert log.flush()
    assert keys.claim("a", "k", b"{}") == b'{"a":1}'


def test_another_body_is_refused_and_another_callers_key_is_another_key(
    log: DecisionLog, keys: IdempotencyKeys
) -> None:
    log.store([record()], claimed(keys).answered(b"1"))
    with pytest.raises(IdempotencyKeyReusedError):
        keys.claim("a", "k", b"{ }")
    claimed(keys, caller="b", body=b"{ }")
    claimed(keys, key="l", body=b"{ }")


def test_of_two_at_once_one_decides_and_the_other_gets_its_answer(log: DecisionLog, keys: IdempotencyKeys) -> None:
    first = claimed(keys)
    got: list[Claim | bytes] = []
    waiting = threading.Thread(target=lambda: got.append(keys.claim("a", "k", b"{}")))
    waiting.start()
    log.store([record()], first.answered(b"1"))
    waiting.join()
    assert got == [b"1"]


def test_many_at_once_decide_once(log: DecisionLog, keys: IdempotencyKeys) -> None:
    start, got = threading.Barrier(8), []

    def send() -> None:
        start.wait()
        claim = keys.claim("a", "k", b"{}")
        if isinstance(claim, Claim):
            log.store([record()], claim.answered(b"1"))
        got.append(claim)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 8
    assert sum(isinstance(one, Claim) for one in got) == 1


def test_who_waits_too_long_is_told_to_try_again(keys: IdempotencyKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "WAIT_SECONDS", 0.1)
    claimed(keys)
    with pytest.raises(IdempotencyKeyInUseError):
        keys.claim("a", "k", b"{}")


def test_a_released_key_is_free_and_an_answered_one_is_not_released(log: DecisionLog, keys: IdempotencyKeys) -> None:
    keys.release(claimed(keys))
    claim = claimed(keys, body=b"other")
    log.store([record()], claim.answered(b"1"))
    assert log.flush()
    keys.release(claim)
    assert keys.claim("a", "k", b"other") == b"1"


def test_a_key_whose_request_vanished_is_taken_over_and_the_first_can_no_longer_decide(
    log: DecisionLog, keys: IdempotencyKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "LEASE_SECONDS", 0.0)
    first = claimed(keys)
    second = claimed(keys)
    assert second.token != first.token
    with pytest.raises(DecisionNotStoredError, match="longer"):
        first.answered(b"1")


def test_an_answer_that_a_killed_process_left_in_its_journal_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with started(tmp_path) as log:
        claim = claimed(IdempotencyKeys(log))
    aside = break_database(tmp_path)
    log = DecisionLog(f"sqlite:///{tmp_path / 'decisions.db'}", tmp_path / "journal")
    (tmp_path / "journal").mkdir(exist_ok=True)
    log._known.touch()  # what a process that decided before leaves
    log.start()
    log.store([record(decision_id="first")], claim.answered(b"1"))
    log.close()
    aside()
    monkeypatch.setattr(idempotency, "LEASE_SECONDS", 0.0)
    with started(tmp_path) as log:
        assert IdempotencyKeys(log).claim("a", "k", b"{}") == b"1"
        wait_until(lambda: rows(tmp_path) == ["first"])
        assert IdempotencyKeys(log).claim("a", "k", b"{}") == b"1"


def test_old_answers_are_forgotten(log: DecisionLog, keys: IdempotencyKeys) -> None:
    log.store([record()], claimed(keys).answered(b"1"))
    assert log.flush()
    log.database.forget_answers(time.time() - 60)
    assert keys.claim("a", "k", b"{}") == b"1"
    log.database.forget_answers(time.time() + 60)
    with log.database.begin() as connection:
        assert connection.execute(ANSWERS.select()).all() == []


def test_the_header_gives_the_same_answer_and_no_second_decision(client: Client) -> None:
    first = client.post("/predict", KNOWN, idempotency_key="a-1")
    assert first.status == 200
    assert "idempotent-replayed" not in first.headers
    again = client.post("/predict", KNOWN, idempotency_key="a-1")
    assert (again.status, again.body) == (200, first.body)
    assert again.headers["idempotent-replayed"] == "true"
    other = client.post("/predict", {"applicant_ids": [FIRST_ID + 1]}, idempotency_key="a-1")
    assert (other.status, other.json()["type"]) == (409, "urn:creditrisk:problem:idempotency-key-reused")
    assert client.post("/predict", KNOWN).body != first.body
    assert client.service.log.flush()
    assert len(rows(client.settings.platform.root)) == 2


def test_requests_that_were_refused_leave_the_key_free(client: Client) -> None:
    bad = client.post("/predict", {"applicant_ids": ["x"]}, idempotency_key="a-1")
    assert bad.status == 422
    assert client.post("/predict", KNOWN, idempotency_key="a-1").status == 200


@pytest.mark.parametrize("key", ["", " ", "a b", "ü", "x" * 129])
def test_a_malformed_key_is_refused(shared: Client, key: str) -> None:
    reply = shared.post("/predict", KNOWN, idempotency_key=key)
    assert (reply.status, reply.json()["type"]) == (400, "urn:creditrisk:problem:idempotency-key-malformed")


def test_without_a_database_a_key_cannot_be_promised(published: Published) -> None:
    with Client(published.home) as client:
        assert client.post("/predict", KNOWN).status == 200
        assert client.service.log.flush()
        mend = break_database(published.home)
        assert client.post("/predict", KNOWN).status == 200
        refused = client.post("/predict", KNOWN, idempotency_key="a-1")
        assert (refused.status, refused.json()["type"]) == (503, "urn:creditrisk:problem:decision-not-stored")
        mend()
        assert client.post("/predict", KNOWN, idempotency_key="a-1").status == 200


def test_a_decision_that_may_come_to_the_log_keeps_its_key(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with Client(published.home, decisions_stored="strict") as client:
        assert client.post("/predict", KNOWN).status == 200
        with monkeypatch.context() as broken:
            broken.setattr(os, "fdatasync", fail)
            assert client.post("/predict", KNOWN, idempotency_key="a-1").status == 503
        again = client.post("/predict", KNOWN, idempotency_key="a-1")
        assert again.status == 200
        assert client.service.log.flush()
    assert len(rows(published.home)) == 2
    assert json.loads(again.body)["decisions"][0]["decision_id"] in rows(published.home)
