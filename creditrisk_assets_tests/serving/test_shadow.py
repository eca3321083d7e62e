"""The shadow scores beside the champion: both are stored, the answer knows nothing of it, and nothing of it harms the champion."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from creditrisk_assets.features.request import RequestFeatures
from creditrisk_assets.modelling.bundle import Bundle, read_public_key
from creditrisk_assets.modelling.bundle_writer import point_to
from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.portfolio import FIRST_ID, Portfolio, publish_online, train_bundle
from creditrisk_assets_tests.serving.records import record
from creditrisk_serving.decisions import entries
from creditrisk_serving.decisions.checkpoints import Checkpoints
from creditrisk_serving.decisions.database import Database
from creditrisk_serving.decisions.schemas import DecisionRecord, Shadowed
from creditrisk_serving.decisions.verification import verify_log
from creditrisk_serving.scoring.replay import replay

KNOWN = {"applicant_ids": [FIRST_ID, FIRST_ID + 1, FIRST_ID + 4]}


def name_shadow(published: Published, made: Path | None = None, version: str | None = None) -> str:
    """Make a bundle the shadow, unverified."""
    version = version or published.challenger
    bundles = published.home / "bundles"
    shutil.copytree(made or published.challenger_bundle, bundles / version, dirs_exist_ok=True)
    point_to(bundles, version, pointer="SHADOW")
    return version


def stored(client: Client, answer: Any) -> list[DecisionRecord]:
    found = [client.service.log.find(one["decision_id"]) for one in answer["decisions"]]
    assert None not in found
    return found


def everyone(portfolio: Portfolio) -> dict[str, Any]:
    """One request: an applicant sent, one sent with histories, and the rest looked up."""
    first, second, *others = portfolio.applicants
    histories = portfolio.histories(second)
    return {
        "applications": [portfolio.application(first), portfolio.application(second)],
        "histories": histories,
        "applicant_ids": others,
    }


def told(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, Any]]:
    return [entry.fields for entry in caplog.records if entry.getMessage() == event]


def test_both_are_stored_as_each_would_decide_alone_and_the_answer_shows_one(
    published: Published, portfolio: Portfolio
) -> None:
    body = everyone(portfolio)
    with Client(published.home) as client:
        plain = client.post("/predict", body).json()
        point_to(published.home / "bundles", name_shadow(published))
        client.service.follower.refresh()
        alone = client.post("/predict", body).json()
        point_to(published.home / "bundles", published.champion)
        client.service.follower.refresh()
        client.service.follower.accompany()
        reply = client.post("/predict", body)
        both = reply.json()
        records = stored(client, both)
        metrics = client.get("/metrics").body.decode()
        told = client.get(f"/decisions/{both['decisions'][0]['decision_id']}")
        ready = client.get("/ready").json()
    assert len(both["decisions"]) == len(portfolio.applicants)
    same = ("applicant_id", "pd", "decision", "band", "reasons", "contributions", "model_version", "families")
    assert [[one[k] for k in same] for one in both["decisions"]] == [[o[k] for k in same] for o in plain["decisions"]]
    expected = [(one["model_version"], one["pd"], one["decision"], one["band"]) for one in alone["decisions"]]
    assert [msgspec.structs.astuple(one.shadow) for one in records] == expected
    assert {one.shadow.model_version for one in records} == {published.challenger}
    for shown in (reply.body, told.body):
        assert published.challenger.encode() not in shown
        assert b"shadow" not in shown
    assert f'creditrisk_shadow_scores_total{{outcome="scored"}} {float(len(records))}' in metrics
    assert f'creditrisk_shadow_info{{model_version="{published.challenger}"}} 1.0' in metrics
    assert (ready["ready"], ready["warnings"], ready["model_version"]) == (True, [], published.champion)


def test_the_chain_covers_the_shadow_and_the_champion_is_decided_again_as_before(
    published: Published, tmp_path: Path
) -> None:
    with Client(published.home) as client:
        before = client.post("/predict", KNOWN).json()
        name_shadow(published)
        client.service.follower.accompany()
        answer = client.post("/predict", KNOWN).json()
        assert client.service.log.flush()
        found = client.service.log.find(answer["decisions"][0]["decision_id"])
        assert client.service.log.find(before["decisions"][0]["decision_id"]).shadow is None
        url = client.settings.decision_log_url
    bundle = Bundle.load(published.home / "bundles" / published.champion, read_public_key(published.home / "keys"))
    assert replay(found, bundle, RequestFeatures(bundle.plan)).equal
    nothing = Checkpoints([], {}, None)
    database = Database(url)
    try:
        assert verify_log(database, nothing).findings == []
        with database.begin() as connection:
            connection.exec_driver_sql("update decisions set shadow = replace(shadow, '\"pd\":0', '\"pd\":1')")
        assert {one.kind for one in verify_log(database, nothing).findings} == {"changed"}
    finally:
        database.close()


def test_bytes_of_a_release_without_shadows_stay_what_they_are() -> None:
    old, new = record(), record(shadow=Shadowed("s", 0.25, "refer", "B"))
    for one in (old, new):
        body = entries.entry(entries.DECISION, one)[1:]
        assert entries.body(entries.DECISION, entries.row(entries.DECISION, body)) == body
        assert msgspec.json.decode(body, type=DecisionRecord) == one
    assert b"shadow" not in entries.entry(entries.DECISION, old)


@pytest.mark.parametrize("harm", ["signature", "gone", "damaged pointer"])
def test_a_shadow_that_cannot_be_loaded_is_told_once_and_touches_nothing(
    published: Published, caplog: pytest.LogCaptureFixture, harm: str
) -> None:
    version = name_shadow(published)
    bundle = published.home / "bundles" / version
    if harm == "signature":
        (bundle / "signature.json").write_text(
            (bundle / "signature.json").read_text().replace('"signature": "', '"signature": "A')
        )
    elif harm == "gone":
        shutil.rmtree(bundle)
    else:
        (published.home / "bundles" / "SHADOW").write_text("{")
    logging.getLogger("creditrisk_serving").propagate = True
    with Client(published.home) as client:
        for _ in range(3):
            client.service.follower.accompany()
        answer = client.post("/predict", KNOWN)
        assert (answer.status, answer.json()["model_version"]) == (200, published.champion)
        assert {one.shadow for one in stored(client, answer.json())} == {None}
        ready = client.get("/ready")
        assert (ready.status, ready.json()["warnings"]) == (200, [])
        assert 'bundle_loads_total{outcome="shadow_refused"} 1.0' in client.get("/metrics").body.decode()
    assert len(told(caplog, "shadow_refused")) == 1


def test_a_shadow_whose_features_mean_something_else_is_refused_with_the_reason(
    published: Published, caplog: pytest.LogCaptureFixture
) -> None:
    name_shadow(published)
    logging.getLogger("creditrisk_serving").propagate = True
    with Client(published.home) as client:
        follower = client.service.follower
        follower.accompany()
        champion = follower.standing.champion
        families = {name: dict(family) for name, family in champion.bundle.plan["families"].items()}
        families["bureau"]["definition"] = "0" * 64
        other = replace(champion.bundle, plan={**champion.bundle.plan, "families": families})
        follower.standing = replace(follower.standing, champion=replace(champion, bundle=other, shadow=None))
        follower.accompany()
        assert follower.standing.champion.shadow is None
        assert client.post("/predict", KNOWN).status == 200
    assert "features/bureau means something else to it" in told(caplog, "shadow_refused")[-1]["problem"]


def test_a_shadow_that_fails_while_scoring_is_told_once_and_counted(
    published: Published, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    name_shadow(published)
    with Client(published.home) as client:
        client.service.follower.accompany()
        shadow = client.service.follower.standing.champion.shadow

        def fail(_: np.ndarray) -> np.ndarray:
            raise MemoryError("a value of an applicant")

        monkeypatch.setattr(shadow._slots, "seen", fail)
        answers = [client.post("/predict", KNOWN) for _ in range(2)]
        assert {answer.status for answer in answers} == {200}
        assert [one.shadow for one in stored(client, answers[1].json())] == [None] * 3
        assert 'shadow_scores_total{outcome="failed"} 6.0' in client.get("/metrics").body.decode()
    (failed,) = told(caplog, "shadow_failed")
    assert failed["exception"]["type"] == "MemoryError"
    assert "a value of an applicant" not in caplog.text


def test_the_shadow_goes_with_its_name_and_with_its_champion_and_follows_the_snapshot(published: Published) -> None:
    name_shadow(published)
    with Client(published.home) as client:
        follower = client.service.follower

        def shadow() -> str | None:
            follower.refresh()
            follower.accompany()
            (one,) = stored(client, client.post("/predict", {"applicant_ids": [FIRST_ID]}).json())
            return one.shadow and one.shadow.model_version

        assert shadow() == published.challenger
        kept = follower.standing.champion.shadow
        assert shadow() == published.challenger
        assert follower.standing.champion.shadow is kept, "nothing is loaded anew while nothing changed"
        publish_online(published.home)
        assert shadow() == published.challenger
        point_to(published.home / "bundles", published.challenger)
        assert shadow() is None, "a champion is not its own shadow"
        point_to(published.home / "bundles", published.champion)
        assert shadow() == published.challenger
        point_to(published.home / "bundles", None, pointer="SHADOW")
        assert shadow() is None


def test_a_shadow_with_features_the_champion_does_not_take_reads_them_where_the_champion_does(
    published: Published, portfolio: Portfolio, monkeypatch: pytest.MonkeyPatch
) -> None:
    from creditrisk_assets_tests.serving import portfolio as making

    every = making.applicant_features()
    monkeypatch.setattr(making, "applicant_features", lambda: (every[1], *every))  # each third feature is another one
    made = published.home / "made" / "other"
    other = train_bundle(published.joined, published.home, made, seed=3)
    monkeypatch.undo()
    body = everyone(portfolio)
    with Client(published.home) as client:
        mine = set(client.service.follower.standing.champion.bundle.needed_names)
        assert set(other.needed_names) - mine
        name_shadow(published, made, other.version)
        client.service.follower.accompany()
        shadowed = [one.shadow.pd for one in stored(client, client.post("/predict", body).json())]
        point_to(published.home / "bundles", other.version)
        client.service.follower.refresh()
        alone = [one["pd"] for one in client.post("/predict", body).json()["decisions"]]
    assert shadowed == alone
