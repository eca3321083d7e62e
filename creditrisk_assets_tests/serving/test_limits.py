"""How much a caller may ask for."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.portfolio import FIRST_ID
from creditrisk_serving.access import Budget, Rate, Scope, Throttle, create_key
from creditrisk_serving.access.limits import FAILURES

KNOWN = {"applicant_ids": [FIRST_ID]}


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("text", ["", "100", "0/s", "-1/s", "1.5/s", "100/y", "100/s ", "1e3/s", "100 / s", "1/s\n"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="100/s"):
        Rate.parse(text)


@pytest.mark.parametrize("text", ["1/s", "100/s", "600/m", "36000/h", "5/d"])
def test_a_rate_is_written_as_it_is_read(text: str) -> None:
    assert str(Rate.parse(text)) == text


def test_a_budget_is_spent_and_refilled_with_time() -> None:
    clock = Clock()
    budget = Budget(Rate.parse("120/m"), clock=clock)
    assert [budget.take() for _ in range(120)] == [0.0] * 120
    assert budget.take() == pytest.approx(0.5)
    clock.now += 0.25
    assert budget.take() == pytest.approx(0.25)
    clock.now += 0.25
    assert budget.take() == 0.0
    clock.now += 3600
    assert [budget.take() for _ in range(121)].count(0.0) == 120


def test_what_was_let_in_is_paid_for_later() -> None:
    clock = Clock()
    budget = Budget(Rate.parse("10/s"), clock=clock)
    assert budget.take() == 0.0
    budget.charge(29)
    assert budget.take() == pytest.approx(2.1)
    clock.now += 2.1
    assert budget.take() == 0.0


@given(
    st.integers(1, 50),
    st.sampled_from("smhd"),
    st.lists(st.tuples(st.floats(0, 100_000), st.integers(1, 40)), max_size=60),
)
def test_no_more_is_ever_given_than_the_rate_and_one_burst_allow(
    count: int, period: str, asked: list[tuple[float, int]]
) -> None:
    clock, seconds = Clock(), {"s": 1, "m": 60, "h": 3600, "d": 86_400}[period]
    budget, started, given_out = Budget(Rate(count, period), clock=clock), clock.now, 0
    for pause, applicants in asked:
        clock.now += pause
        if budget.take() == 0.0:
            budget.charge(applicants - 1)
            # What was let in last may be overdrawn; all before it is within the rate.
            assert given_out <= count + (clock.now - started) * count / seconds + 1e-6
            given_out += applicants


def test_each_process_gives_its_part() -> None:
    throttle = Throttle(Rate.parse("100/s"), processes=4, clock=Clock())
    budget = throttle.budget("a", None)
    assert [budget.take() for _ in range(26)].count(0.0) == 25
    assert throttle.budget("b", Rate.parse("1/s")).take() == 0.0  # a part below one still lets one in


def test_keys_have_budgets_of_their_own_which_follow_the_rate_in_the_file() -> None:
    throttle = Throttle(Rate.parse("1/s"), clock=Clock())
    assert throttle.budget("a", None).take() == 0.0
    assert throttle.budget("a", None).take() > 0
    assert throttle.budget("b", None).take() == 0.0
    raised = Rate.parse("2/s")
    assert [throttle.budget("a", raised).take() == 0.0 for _ in range(3)] == [True, True, False]


def test_a_key_past_its_rate_is_told_when_to_come_back_and_others_go_on(client: Client) -> None:
    key = create_key(client.settings.api_keys_file, "lender", scopes=[Scope.SCORE], rate=Rate.parse("2/d"))
    assert [client.post("/predict", KNOWN, x_api_key=key).status for _ in range(3)] == [200, 200, 429]
    for path, body in (("/predict", KNOWN), ("/validate", KNOWN), ("/invocations", KNOWN)):
        reply = client.post(path, body, x_api_key=key)
        assert reply.status == 429
        assert reply.json()["type"] == "urn:creditrisk:problem:rate-limited"
        assert 40_000 < int(reply.headers["retry-after"]) <= 43_200
    assert client.post("/predict", KNOWN).status == 200
    assert 'creditrisk_errors_total{kind="rate-limited"} 4.0' in client.get("/metrics").body.decode()


def test_every_applicant_asked_for_counts(published: Published) -> None:
    with Client(published.home, rate_limit="10/d") as client:
        assert client.post("/predict", {"applicant_ids": [FIRST_ID + i for i in range(6)]}).status == 200
        assert (
            client.post("/predict", json.dumps({"applicant_ids": [FIRST_ID + i for i in range(6)]}).encode()).status
            == 200
        )
        reply = client.post("/predict", KNOWN)
        assert reply.status == 429
        assert int(reply.headers["retry-after"]) > 2 * 8640  # two too many were let in


def test_each_worker_gives_its_part_of_the_setting(published: Published) -> None:
    with Client(published.home, rate_limit="4/d", workers=2) as client:
        assert [client.get("/schema").status for _ in range(3)] == [200, 200, 429]


def test_strangers_are_slowed_and_lock_nobody_out(client: Client) -> None:
    clock = Clock()
    client.service.throttle.failures = Budget(FAILURES, clock=clock)
    statuses = [client.get("/schema", x_api_key="crk_no").status for _ in range(FAILURES.count + 5)]
    assert statuses == [401] * FAILURES.count + [429] * 5
    reply = client.post("/predict", KNOWN, x_api_key="")
    assert (reply.status, reply.headers["retry-after"]) == (429, "1")
    assert client.post("/predict", KNOWN).status == client.get("/schema").status == 200
    clock.now += 1
    assert client.get("/schema", x_api_key="crk_no").status == 401
