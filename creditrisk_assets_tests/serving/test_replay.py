"""Replay: a stored decision is made again to the last bit, and what differs is named."""

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from creditrisk_assets.modelling.bundle import BundleError, read_public_key
from creditrisk_assets.modelling.signing import replace_signing_key
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.portfolio import FIRST_ID, Portfolio, publish
from creditrisk_serving.cli import app
from creditrisk_serving.decisions.inputs import Packed, numbers
from creditrisk_serving.decisions.schemas import DecisionRecord
from creditrisk_serving.scoring.replay import Replay, pinned_bundle, replay

NO_HISTORY = FIRST_ID + (-FIRST_ID % 4)


def decide(client: Client, body: dict[str, Any]) -> list[DecisionRecord]:
    decisions = client.post("/predict", body).json()["decisions"]
    found = [client.service.log.find(one["decision_id"]) for one in decisions]
    assert all(found)
    return [one for one in found if one]


def again(client: Client, record: DecisionRecord) -> Replay:
    home = client.settings.platform
    bundle = pinned_bundle(home.bundles, record, read_public_key(home.keys))
    return replay(record, bundle, client.service.scoring.champion().source.engine)


@pytest.mark.parametrize("applicant", [FIRST_ID, NO_HISTORY])
def test_every_way_to_be_decided_is_decided_again(shared: Client, portfolio: Portfolio, applicant: int) -> None:
    application, histories = portfolio.application(applicant), portfolio.histories(applicant)
    for body, rebuilt in (
        ({"applicant_ids": [applicant]}, 0),
        ({"applications": [application]}, 1),
        ({"applications": [application], "histories": histories}, 6 if any(histories.values()) else 1),
    ):
        (record,) = decide(shared, body)
        found = again(shared, record)
        assert (found.equal, found.differences) == (True, [])
        assert (len(found.rebuilt), len(found.rebuilt) + len(found.taken)) == (rebuilt, 6)
        assert found.pd == record.pd


def test_a_whole_batch_is_decided_again_one_by_one(shared: Client, portfolio: Portfolio) -> None:
    applicants = portfolio.applicants[:12]
    histories: dict[str, list[Any]] = {}
    for applicant in applicants:
        for table, sent in portfolio.histories(applicant).items():
            histories.setdefault(table, []).extend(sent)
    body = {"applications": [portfolio.application(one) for one in applicants], "histories": histories}
    assert all(again(shared, record).equal for record in decide(shared, body))


def test_what_differs_is_named_without_a_value(shared: Client, portfolio: Portfolio) -> None:
    (record,) = decide(shared, {"applications": [portfolio.application(FIRST_ID)]})
    saw = msgspec.convert(record.features, Packed)
    place, mine = next(
        (place, name)
        for place, name in enumerate(shared.service.scoring.champion().bundle.feature_names)
        if name.startswith("application__") and shared.service.log.features(record)[name] not in {None, True, False}
    )
    inputs = numbers(saw)[0]
    inputs[place] = 777.25
    features = msgspec.to_builtins(msgspec.structs.replace(saw, inputs=inputs.tobytes()))
    changed = msgspec.structs.replace(record, features=features, pd=record.pd + 1e-17 + 1e-9)
    assert again(shared, changed).differences == [f"feature {mine}", "pd"]
    overruled = msgspec.structs.replace(record, decision="CANARY", band="X")
    assert again(shared, overruled).differences == ["decision", "band"]


def test_a_decision_is_replayed_on_the_model_it_was_made_with(published: Published) -> None:
    with Client(published.home) as client:
        (record,) = decide(client, {"applicant_ids": [FIRST_ID]})
        publish(published.challenger_bundle, published.home)
        client.service.follower.refresh()
        assert again(client, record).equal
        shutil.rmtree(published.home / "bundles" / record.model_version)
        with pytest.raises(BundleError, match="promote"):
            again(client, record)
        shutil.copytree(
            published.home / "bundles" / published.challenger, published.home / "bundles" / record.model_version
        )
        with pytest.raises(BundleError, match=r"is signed, and not|version"):
            again(client, record)


def test_the_command_says_equal_or_what_differs(published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITRISK_HOME", str(published.home))
    runner = CliRunner()
    with Client(published.home) as client:
        (record,) = decide(client, {"applicant_ids": [FIRST_ID]})
        equal = runner.invoke(app, ["replay", record.decision_id])
        assert equal.exit_code == 0, equal.output
        assert "equal to the last bit" in equal.output
    _change(published.home, record.decision_id)
    found = runner.invoke(app, ["replay", record.decision_id, "--json"])
    assert found.exit_code == 1
    assert json.loads(found.output)["differences"] == ["pd"]
    assert "no decision has the id" in str(runner.invoke(app, ["replay", "0" * 32]).exception)


def test_the_command_shows_a_stored_decision(published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITRISK_HOME", str(published.home))
    runner = CliRunner()
    with Client(published.home) as client:
        (record,) = decide(client, {"applicant_ids": [FIRST_ID]})
        shown = runner.invoke(app, ["decision", record.decision_id])
        told = json.loads(runner.invoke(app, ["decision", record.decision_id, "--json"]).output)
    for words in (f"{record.decision}, PD {record.pd:.6f}, grade {record.band}", record.model_version, str(FIRST_ID)):
        assert words in shown.output
    assert (told["pd"], told["reviews"]) == (record.pd, [])
    assert told["features"]
    assert "no decision has the id" in str(runner.invoke(app, ["decision", "0" * 32]).exception)


def test_a_decision_is_replayed_years_after_its_bundles_key_was_replaced(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDITRISK_HOME", str(published.home))
    with Client(published.home) as client:
        (record,) = decide(client, {"applicant_ids": [FIRST_ID]})
    keys = Settings(home=published.home).keys
    replace_signing_key(keys, None, date(2020, 1, 1))
    with pytest.raises(BundleError, match="trusted today"):
        pinned_bundle(Settings(home=published.home).bundles, record, read_public_key(keys))
    assert "equal to the last bit" in CliRunner().invoke(app, ["replay", record.decision_id]).output


def _change(home: Path, decision_id: str) -> None:
    import sqlite3

    with sqlite3.connect(home / "decisions.db") as connection:
        connection.execute("update decisions set pd = pd / 2 where decision_id = ?", (decision_id,))
    connection.close()
