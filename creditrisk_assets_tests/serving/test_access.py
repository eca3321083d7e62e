"""Who may call: nobody without a key, each key what it is for; none is kept in clear, they change without a restart."""

import json
import logging
import stat
from datetime import UTC, datetime, timedelta

import pytest

from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.portfolio import FIRST_ID
from creditrisk_serving.access import (
    AUDITED,
    Key,
    KeyFile,
    KeyFileError,
    Keyring,
    Scope,
    create_key,
    hash_key,
    read_keys,
    revoke_key,
    rotate_key,
)
from creditrisk_serving.observability import JsonFormatter

OPEN = {"/health", "/ready", "/ping", "/openapi.json"}
KNOWN = {"applicant_ids": [FIRST_ID]}
ANY = frozenset(Scope)
OPENED_BY = {
    ("POST", "/predict"): {Scope.SCORE},
    ("POST", "/validate"): {Scope.SCORE},
    ("POST", "/what-if"): {Scope.SCORE},
    ("POST", "/invocations"): {Scope.SCORE},
    ("GET", "/schema"): ANY,
    ("GET", "/metadata"): ANY,
    ("GET", "/metrics"): {Scope.MONITOR},
    ("GET", "/decisions/{decision_id}"): {Scope.SCORE, Scope.EXPLAIN, Scope.REVIEW},
    ("POST", "/decisions/{decision_id}/review"): {Scope.REVIEW},
    ("POST", "/decisions/{decision_id}/notice"): {Scope.EXPLAIN, Scope.REVIEW},
    ("GET", "/decisions/{decision_id}/notice"): {Scope.EXPLAIN, Scope.REVIEW},
    ("POST", "/recourse"): {Scope.EXPLAIN},
    ("POST", "/approvals"): {Scope.ADMIN},
}


@pytest.fixture(scope="module")
def keys(shared: Client) -> dict[Scope, str]:
    """A key with each scope and no other."""
    path = shared.settings.api_keys_file
    return {scope: create_key(path, f"only-{scope}", scopes=[scope]) for scope in Scope}


@pytest.mark.parametrize("key", ["", "x", "crk_" + "A" * 43, "\xe9"])
def test_every_route_but_the_open_ones_asks_for_a_key(shared: Client, key: str) -> None:
    for path, methods in shared.get("/openapi.json").json()["paths"].items():
        for method in methods:
            reply = shared.run(shared.call(method.upper(), path, b"{}", x_api_key=key))
            if path in OPEN:
                assert reply.status == 200
            else:
                assert reply.status == 401, path
                assert reply.json()["type"] == "urn:creditrisk:problem:unauthorized"
                assert "www-authenticate" in reply.headers


def test_there_is_no_page_that_loads_scripts_from_elsewhere(shared: Client) -> None:
    assert shared.get("/docs").status == shared.get("/redoc").status == 404


def test_keys_are_kept_hashed_and_private(shared: Client) -> None:
    path = shared.settings.api_keys_file
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert shared.key not in path.read_text()
    assert "test" in {key.id for key in read_keys(path)}


def test_a_key_is_replaced_without_restart(client: Client) -> None:
    old = client.key
    new = create_key(client.settings.api_keys_file, "test", scopes=[Scope.ADMIN], replace=True)
    other = create_key(client.settings.api_keys_file, "other", scopes=[Scope.SCORE])
    assert client.get("/metadata", x_api_key=old).status == 401
    assert client.get("/metadata", x_api_key=new).status == client.get("/metadata", x_api_key=other).status == 200


def test_every_route_says_which_scopes_open_it_and_opens_to_no_other(shared: Client, keys: dict[Scope, str]) -> None:
    paths = shared.get("/openapi.json").json()["paths"]
    routes = {(method.upper(), path) for path, methods in paths.items() for method in methods if path not in OPEN}
    assert routes == set(OPENED_BY)
    for (method, path), opened_by in OPENED_BY.items():
        (declared,) = paths[path][method.lower()]["security"]
        assert set(declared["APIKeyHeader"]) == (set() if opened_by is ANY else opened_by)
        for scope, key in keys.items():
            reply = shared.run(shared.call(method, path, b"{}", x_api_key=key))
            if scope in opened_by or scope is Scope.ADMIN:
                assert reply.status not in (401, 403), (path, scope)
            else:
                assert reply.status == 403, (path, scope)
                assert reply.json()["type"] == "urn:creditrisk:problem:forbidden"
                assert any(f"scope {needed}" in reply.json()["detail"] for needed in opened_by)


def test_a_key_for_scores_reads_the_decisions_it_asked_for_and_is_not_told_of_others(
    shared: Client, keys: dict[Scope, str]
) -> None:
    own = shared.post("/predict", KNOWN, x_api_key=keys[Scope.SCORE]).json()["decisions"][0]["decision_id"]
    other = shared.post("/predict", KNOWN).json()["decisions"][0]["decision_id"]
    assert shared.get(f"/decisions/{own}", x_api_key=keys[Scope.SCORE]).status == 200
    refused = shared.get(f"/decisions/{other}", x_api_key=keys[Scope.SCORE], x_request_id="r").json()
    assert refused == shared.get("/decisions/0", x_api_key=keys[Scope.SCORE], x_request_id="r").json()
    for scope in (Scope.EXPLAIN, Scope.REVIEW, Scope.ADMIN):
        assert shared.get(f"/decisions/{other}", x_api_key=keys[scope]).status == 200


def test_a_key_from_before_there_were_scopes_opens_everything(client: Client) -> None:
    entry = {"id": "old", "sha256": hash_key("crk_old"), "created_at": "2025-01-01T00:00:00+00:00"}
    client.settings.api_keys_file.write_text(json.dumps({"keys": [entry]}, indent=1))
    assert client.post("/predict", KNOWN, x_api_key="crk_old").status == 200
    assert client.get("/metrics", x_api_key="crk_old").status == 200
    create_key(client.settings.api_keys_file, "new", scopes=[Scope.SCORE])
    assert client.get("/metrics", x_api_key="crk_old").status == 200


def test_a_replaced_key_works_through_its_grace_and_keeps_its_decisions(client: Client) -> None:
    path = client.settings.api_keys_file
    old = create_key(path, "lender", scopes=[Scope.SCORE])
    decision = client.post("/predict", KNOWN, x_api_key=old).json()["decisions"][0]["decision_id"]
    new = rotate_key(path, "lender", grace=timedelta(hours=1))
    for key in (old, new):
        assert client.get(f"/decisions/{decision}", x_api_key=key).status == 200
        assert client.get("/metrics", x_api_key=key).status == 403
    newest = rotate_key(path, "lender", grace=timedelta(0))
    assert client.get("/schema", x_api_key=newest).status == 200
    assert client.get("/schema", x_api_key=old).status == client.get("/schema", x_api_key=new).status == 401


def test_a_revoked_key_opens_nothing_more(client: Client) -> None:
    path = client.settings.api_keys_file
    first = create_key(path, "lender", scopes=[Scope.SCORE])
    second = rotate_key(path, "lender", grace=timedelta(hours=1))
    revoke_key(path, "lender")
    assert client.get("/schema", x_api_key=first).status == client.get("/schema", x_api_key=second).status == 401


def test_a_key_opens_nothing_from_the_moment_it_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    end = datetime(2026, 1, 1, tzinfo=UTC)
    keyring = Keyring([Key("a", hash_key("k"), scopes=(Scope.SCORE,), expires_at=end)])
    for moment, opens in ((end.timestamp() - 0.001, True), (end.timestamp(), False), (end.timestamp() + 1, False)):
        monkeypatch.setattr("creditrisk_serving.access.keys.time.time", lambda moment=moment: moment)
        assert (keyring.caller("k") is not None) == opens


def test_a_key_found_by_its_hash_is_compared_in_constant_time_too(monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = Keyring([Key("a", hash_key("k"))])
    assert keyring.caller("k") is not None
    monkeypatch.setattr("creditrisk_serving.access.keys.hmac.compare_digest", lambda *_: False)
    assert keyring.caller("k") is None


def test_what_few_may_do_is_audited_and_so_is_whatever_was_refused(
    shared: Client, keys: dict[Scope, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "creditrisk_serving")
    decision = shared.post("/predict", KNOWN, x_api_key=keys[Scope.SCORE]).json()["decisions"][0]["decision_id"]
    shared.get(f"/decisions/{decision}", x_api_key=keys[Scope.SCORE], x_request_id="own")
    shared.get(f"/decisions/{decision}", x_api_key=keys[Scope.EXPLAIN], x_request_id="read")
    shared.post(f"/decisions/{decision}/review", b"{", x_api_key=keys[Scope.REVIEW], x_request_id="review")
    shared.get("/metrics", x_api_key=keys[Scope.MONITOR], x_request_id="metrics")
    shared.post("/predict", KNOWN, x_api_key=keys[Scope.EXPLAIN], x_request_id="refused")
    lines = [json.loads(JsonFormatter().format(r)) for r in caplog.records if r.getMessage() == "audit"]
    names = ("request_id", "key_id", "scope", "route", "status")
    assert [tuple(line[name] for name in names) for line in lines] == [
        ("read", "only-explain", "explain", "/decisions/{decision_id}", 200),
        ("review", "only-review", "review", "/decisions/{decision_id}/review", 400),
        ("refused", "only-explain", "score", "/predict", 403),
    ]
    assert all(set(line) == {"time", "level", "logger", "event", *names} for line in lines)
    assert decision not in caplog.text
    assert Scope.SCORE not in AUDITED


@pytest.mark.parametrize("harm", ["readable by others", "damaged"])
def test_unsafe_or_damaged_keys_let_nobody_in_and_are_told(published: Published, harm: str) -> None:
    with Client(published.home) as client:
        path = client.settings.api_keys_file
        if harm == "damaged":
            path.write_text(json.dumps({"keys": [{"id": "test"}]}))
        else:
            path.chmod(0o644)
        reply = client.post("/predict", {"applicant_ids": [FIRST_ID]})
        assert reply.status == 503
        assert "API keys" in reply.json()["detail"]
        assert any(str(path) in reason for reason in client.get("/ready").json()["reasons"])
        with pytest.raises(KeyFileError):
            KeyFile(path).caller(client.key)


def test_without_a_key_file_nobody_gets_in(published: Published) -> None:
    with Client(published.home) as client:
        client.settings.api_keys_file.unlink()
        assert client.get("/metadata").status == 401
