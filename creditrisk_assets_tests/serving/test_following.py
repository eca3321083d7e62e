"""The service follows what is published: swaps without a restart, keeps what is proven, says what is wrong."""

import json
import shutil
import threading
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from creditrisk_assets.features.plan import render_plan
from creditrisk_assets.lake import Lake
from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.portfolio import (
    FIRST_ID,
    draw_portfolio,
    publish,
    publish_features,
    publish_online,
    train_bundle,
    write_raw,
)

KNOWN = {"applicant_ids": [FIRST_ID]}


def point_to(published: Published, name: str) -> None:
    (published.home / "bundles" / "CURRENT").write_text(json.dumps({"version": name}))


def copy_unproven(published: Published, version: str) -> Path:
    """Put the challenger among the published bundles without the publisher's checks."""
    target = published.home / "bundles" / version
    shutil.copytree(published.challenger_bundle, target)
    point_to(published, version)
    return target


def test_a_published_bundle_is_swapped_in_without_restart(published: Published) -> None:
    with Client(published.home, poll_seconds=0.02) as client:
        before = client.post("/predict", KNOWN).json()
        publish(published.challenger_bundle, published.home)
        deadline = time.monotonic() + 20
        while client.get("/metadata").json()["model"]["version"] != published.challenger:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        after = client.post("/predict", KNOWN).json()
        assert before["model_version"] == published.champion
        assert after["model_version"] == published.challenger
        assert after["bundle_sha256"] != before["bundle_sha256"]
        assert after["decisions"][0]["pd"] != before["decisions"][0]["pd"]
        models = [
            m for m in client.get("/metrics").body.decode().splitlines() if m.startswith("creditrisk_model_info{")
        ]
        assert {published.champion in model: model.endswith(" 1.0") for model in models} == {True: False, False: True}


def test_requests_during_swaps_are_all_answered_by_one_model_each(published: Published) -> None:
    with Client(published.home) as client:
        expected = {}
        for bundle in ("champion", "challenger"):
            publish(published.home / "made" / bundle, published.home)
            client.service.follower.refresh()
            answer = client.post("/predict", KNOWN).json()
            expected[answer["model_version"]] = answer["decisions"][0]["pd"]
        stop = threading.Event()

        def swap() -> None:
            while not stop.is_set():
                for bundle in ("champion", "challenger"):
                    publish(published.home / "made" / bundle, published.home)
                    client.service.follower.refresh()

        swapper = threading.Thread(target=swap)
        swapper.start()
        try:
            answers = [client.post("/predict", KNOWN) for _ in range(15)]
        finally:
            stop.set()
            swapper.join()
        assert {reply.status for reply in answers} == {200}
        for reply in answers:
            answer = reply.json()
            assert answer["decisions"][0]["pd"] == expected[answer["model_version"]]


@pytest.mark.parametrize(
    "harm", ["signature", "model", "stranger's key", "missing file", "no bundle", "damaged pointer"]
)
def test_a_bad_bundle_is_kept_out_and_told(client: Client, published: Published, harm: str) -> None:
    bundle = copy_unproven(published, published.challenger)
    if harm == "signature":
        signature = json.loads((bundle / "signature.json").read_text())
        signature["signature"] = "A" * 86 + "=="
        (bundle / "signature.json").write_text(json.dumps(signature))
    elif harm == "model":
        (bundle / "model.txt").write_text((bundle / "model.txt").read_text().replace("0.", "0.1", 1))
    elif harm == "stranger's key":
        other = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (published.home / "keys" / "bundle_signing.pem").write_bytes(other)
        (published.home / "bundles" / "CURRENT").unlink()
        shutil.rmtree(bundle)
        trusted = (published.home / "keys" / "bundle_signing.pub").read_bytes()
        publish_by_stranger(published)
        (published.home / "keys" / "bundle_signing.pub").write_bytes(trusted)
    elif harm == "missing file":
        (bundle / "policy.json").unlink()
    elif harm == "no bundle":
        shutil.rmtree(bundle)
    else:
        (published.home / "bundles" / "CURRENT").write_text("{")
    client.service.follower.refresh()
    client.service.follower.refresh()
    answer = client.post("/predict", KNOWN)
    ready = client.get("/ready")
    assert (answer.status, answer.json()["model_version"]) == (200, published.champion)
    assert ready.status == 200
    assert ready.json()["model_version"] == published.champion
    assert len(ready.json()["warnings"]) == 1
    refused = [line for line in client.get("/metrics").body.decode().splitlines() if 'outcome="refused"' in line]
    assert any(line.startswith("creditrisk_bundle_loads_total") and line.endswith(" 1.0") for line in refused)


def publish_by_stranger(published: Published) -> None:
    """Sign the challenger's model with a key the service does not trust, and publish it."""
    manifest = (published.challenger_bundle / "manifest.json").read_bytes()
    import base64

    from creditrisk_assets.modelling.signing import public_bytes, signing_key

    key = signing_key(published.home / "keys")
    signature = {
        "algorithm": "ed25519",
        "public_key": base64.b64encode(public_bytes(key)).decode(),
        "signature": base64.b64encode(key.sign(manifest)).decode(),
    }
    (published.challenger_bundle / "signature.json").write_text(json.dumps(signature))
    publish(published.challenger_bundle, published.home)


def test_a_mended_bundle_is_taken(client: Client, published: Published) -> None:
    bundle = copy_unproven(published, published.challenger)
    policy = (bundle / "policy.json").read_bytes()
    (bundle / "policy.json").unlink()
    client.service.follower.refresh()
    assert client.get("/ready").json()["warnings"]
    (bundle / "policy.json").write_bytes(policy)
    publish(published.challenger_bundle, published.home)
    (bundle / "manifest.json").touch()
    client.service.follower.refresh()
    assert client.get("/ready").json() == {
        "ready": True,
        "reasons": [],
        "warnings": [],
        "model_version": published.challenger,
    }


def test_without_a_bundle_the_service_lives_but_is_not_ready(published: Published) -> None:
    shutil.rmtree(published.home / "bundles")
    with Client(published.home) as client:
        assert client.get("/health").status == 200
        ready = client.get("/ready")
        assert ready.status == 503
        assert "no model bundle" in ready.json()["reasons"][0]
        for reply in (client.post("/predict", KNOWN), client.get("/schema"), client.get("/metadata")):
            assert reply.status == 503
            assert reply.json()["type"] == "urn:creditrisk:problem:not-ready"
        publish(published.challenger_bundle, published.home)
        client.service.follower.refresh()
        assert client.get("/ready").status == 200
        assert client.post("/predict", KNOWN).status == 200


def test_without_an_online_store_only_what_brings_its_histories_is_scored(published: Published) -> None:
    shutil.rmtree(published.home / "online")
    with Client(published.home) as client:
        ready = client.get("/ready")
        assert ready.status == 503
        assert ready.json()["reasons"] == [
            "the online store is empty; run `creditrisk run --select serving/online_features`"
        ]
        assert client.post("/predict", KNOWN).json()["type"] == "urn:creditrisk:problem:not-ready"
        body = {
            "applications": [published.portfolio.application(FIRST_ID)],
            "histories": published.portfolio.histories(FIRST_ID),
        }
        assert client.post("/predict", body).status == 200


def test_newly_published_features_are_looked_up_without_restart(
    client: Client, published: Published, tmp_path: Path
) -> None:
    before = client.post("/predict", KNOWN).json()["decisions"][0]["pd"]
    versions = client.get("/metadata").json()["data"]["looked_up_in"]
    publish_features(Lake(published.home / "lake"), write_raw(draw_portfolio(seed=8), tmp_path))
    publish_online(published.home)
    assert client.post("/predict", KNOWN).json()["decisions"][0]["pd"] == before
    client.service.follower.refresh()
    assert client.post("/predict", KNOWN).json()["decisions"][0]["pd"] != before
    assert client.get("/metadata").json()["data"]["looked_up_in"] != versions


def test_features_the_model_does_not_know_are_kept_out_and_told(client: Client, published: Published) -> None:
    before = client.post("/predict", KNOWN).json()["decisions"][0]["pd"]
    lake = Lake(published.home / "lake")
    old = lake.require("features/bureau").manifest.metadata
    with lake.draft("features/bureau") as draft:
        shutil.copy(lake.require("features/pos_cash").data, draft.data)
        lake.publish(draft, code_version="other", inputs={}, metadata=old)
    publish_online(published.home)
    client.service.follower.refresh()
    ready = client.get("/ready")
    assert ready.status == 200
    assert "features/bureau" in ready.json()["warnings"][0]
    assert client.post("/predict", KNOWN).json()["decisions"][0]["pd"] == before
    with Client(published.home) as restarted:
        assert restarted.get("/ready").status == 503


def test_metadata_describes_what_decides(shared: Client, template: Published) -> None:
    found = shared.get("/metadata").json()
    bundle = shared.service.scoring.champion().bundle
    assert found["model"]["version"] == template.champion
    assert [f["name"] for f in found["model"]["features"]] == list(bundle.feature_names)
    assert found["policy"]["sha256"] == bundle.policy.digest
    assert found["training"]["metrics"]["auc"] == 0.5
    assert "synthetic portfolio" in found["training"]["note"]
    assert found["data"]["trained_on"] == {"features/applicant": "test"}


def test_features_of_another_definition_are_not_looked_up(published: Published) -> None:
    lake = Lake(published.home / "lake")
    old = lake.require("features/bureau")
    with lake.draft("features/bureau") as draft:
        shutil.copyfile(old.data, draft.data)
        lake.publish(draft, code_version="new", inputs={}, metadata={"facts": {"definition": "another"}}, version="new")
    publish_online(published.home)
    with Client(published.home) as client:
        assert client.post("/predict", KNOWN).status == 503
        reasons = " ".join(client.get("/ready").json()["reasons"])
        assert "features/bureau in the online store was built by another definition than the champion's" in reasons


def test_a_new_model_waits_until_the_online_store_has_its_features(client: Client, published: Published) -> None:
    before = client.post("/predict", KNOWN).json()
    plan = render_plan()
    plan["families"]["bureau"]["definition"] = "another"
    waiting = train_bundle(published.joined, published.home, published.home / "made" / "waiting", seed=4, plan=plan)
    publish(published.home / "made" / "waiting", published.home)
    for _ in range(2):
        client.service.follower.refresh()
        assert client.post("/predict", KNOWN).json()["decisions"][0]["pd"] == before["decisions"][0]["pd"]
    ready = client.get("/ready").json()
    assert (ready["ready"], ready["model_version"]) == (True, published.champion)
    assert "another definition" in ready["warnings"][0]
    lake = Lake(published.home / "lake")
    old = lake.require("features/bureau")
    with lake.draft("features/bureau") as draft:
        shutil.copyfile(old.data, draft.data)
        lake.publish(draft, code_version="new", inputs={}, metadata={"facts": {"definition": "another"}}, version="new")
    publish_online(published.home)
    client.service.follower.refresh()
    assert client.get("/ready").json() == {
        "ready": True,
        "reasons": [],
        "warnings": [],
        "model_version": waiting.version,
    }
    assert client.post("/predict", KNOWN).json()["model_version"] == waiting.version
