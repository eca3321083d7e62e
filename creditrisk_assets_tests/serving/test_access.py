"""Keys: nobody gets in without one, none is kept in clear, they rotate without a restart."""

import json
import stat

import pytest

from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.portfolio import FIRST_ID
from creditrisk_serving.access import KeyFile, KeyFileError, create_key, read_keys

OPEN = {"/health", "/ready", "/ping", "/openapi.json"}


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
    assert set(read_keys(path)) == {"test"}


def test_a_key_is_replaced_without_restart(client: Client) -> None:
    old = client.key
    new = create_key(client.settings.api_keys_file, "test")
    other = create_key(client.settings.api_keys_file, "other")
    assert client.get("/metadata", x_api_key=old).status == 401
    assert client.get("/metadata", x_api_key=new).status == client.get("/metadata", x_api_key=other).status == 200


@pytest.mark.parametrize("harm", ["readable by others", "damaged"])
def test_unsafe_or_damaged_keys_let_nobody_in_and_are_told(published: Published, harm: str) -> None:
    with Client(published.home) as client:
        path = client.settings.api_keys_file
        if harm == "damaged":
            path.write_text(json.dumps({"keys": [{"id": "test"}]}))
        else:
            path.chmod(0o644)
            path.touch()
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
