"""The online store as an asset: reused, renewed, mended; and the check of batch against request on live rows."""

import json
from collections.abc import Iterator

import dagster as dg
import pytest

from creditrisk_assets import running
from creditrisk_assets.definitions import build_defs
from creditrisk_assets.features.families import FAMILIES
from creditrisk_assets.lake import Lake
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.integration.conftest import Graph, copied
from creditrisk_serving.defs.online import on_new_features, online_store, renewal

STORE = "serving/online_features"
PARITY = dg.AssetCheckKey(dg.AssetKey(["features", "applicant"]), "batch_equals_request")


@pytest.fixture(scope="module")
def settings(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A copy of the graph's home, with the features and the online store of the sample portfolio."""
    assert {STORE, "features/applicant"} <= {asset.key for asset in graph.result.assets}
    assert graph.result.broken_checks == {}
    with copied(graph.settings.root, tmp_path_factory.mktemp("online") / "home") as found:
        yield found


@pytest.fixture(autouse=True)
def at_home(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITRISK_HOME", str(settings.root))
    monkeypatch.setenv("DAGSTER_HOME", str(settings.dagster_home))


def outcome(settings: Settings) -> str:
    result = running.materialize(settings, STORE)
    assert result.failures == []
    (asset,) = result.assets
    return asset.outcome


def test_an_unchanged_store_is_reused_and_confirmed(settings: Settings) -> None:
    store = online_store(settings)
    before = store.current()
    assert outcome(settings) == "reused"
    after = store.current()
    assert before is not None
    assert after is not None
    assert before.name == after.name
    assert before.verified_at <= after.verified_at
    store.close()


@pytest.mark.parametrize("harm", ["cut", "changed", "gone", "index"])
def test_a_damaged_store_is_built_again_from_the_versions_it_was_made_of(harm: str, settings: Settings) -> None:
    store = online_store(settings)
    before = store.current()
    assert before is not None
    path = settings.online / f"online_rows_{before.name}.sqlite"
    content = path.read_bytes()
    if harm == "cut":
        path.write_bytes(content[:-1])
    elif harm == "changed":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif harm == "gone":
        path.unlink()
    else:
        store.close()
        (settings.online / "index.sqlite").unlink()
    assert outcome(settings) == "reused"  # the lake's description is; its export mends the rows
    after = store.current()
    assert after is not None
    assert after.name != before.name
    store.open(store.snapshot(after.name)).close()
    store.close()


def test_a_family_published_anew_makes_the_store_due_once(settings: Settings) -> None:
    lake = Lake(settings.lake)
    assert renewal(settings, lake) is None
    old = lake.require("features/pos_cash")
    with lake.draft("features/pos_cash") as draft:
        draft.data.write_bytes(old.data.read_bytes())
        lake.publish(
            draft,
            code_version=old.manifest.code_version,
            inputs=old.manifest.inputs,
            metadata=old.manifest.metadata,
            version="anew",
        )
    due = renewal(settings, lake)
    assert due is not None
    request = on_new_features(dg.build_sensor_context())
    assert isinstance(request, dg.RunRequest)
    assert request.run_key == due
    assert outcome(settings) == "built"
    assert renewal(settings, lake) is None
    assert isinstance(on_new_features(dg.build_sensor_context()), dg.SkipReason)


def parity(applicants: int) -> tuple[bool, str]:
    job = build_defs().resolve_job_def("check_parity")
    config = {"ops": {"features__applicant_batch_equals_request": {"config": {"applicants": applicants}}}}
    with dg.DagsterInstance.get() as instance:
        result = job.execute_in_process(
            instance=instance, run_config={**config, "loggers": {"console": {"config": {"log_level": "ERROR"}}}}
        )
    (evaluation,) = result.get_asset_check_evaluations()
    return evaluation.passed, evaluation.description or ""


def test_live_rows_are_computed_alike_by_batch_and_request(settings: Settings) -> None:
    passed, words = parity(60)
    assert passed
    assert (
        words == f"{sum(len(f.features) for f in FAMILIES.values()) + 5} features of 60 applicants compared: all equal"
    )


def test_a_table_built_by_another_definition_is_named_not_compared(settings: Settings) -> None:
    manifest = Lake(settings.lake).require("features/bureau").path / "manifest.json"
    kept = manifest.read_text()
    changed = json.loads(kept)
    changed["metadata"]["facts"]["definition"] = "another"
    manifest.write_text(json.dumps(changed))
    try:
        passed, words = parity(10)
    finally:
        manifest.write_text(kept)
    assert not passed
    assert "features/bureau was built by another definition" in words


def test_the_schedule_compares_ten_thousand_and_runs_every_night() -> None:
    definitions = build_defs()
    schedule = definitions.resolve_schedule_def("nightly_check_parity")
    assert schedule.cron_schedule == "0 5 * * *"
    job = definitions.resolve_job_def("check_parity")
    (config,) = (op["config"] for op in job.run_config["ops"].values())
    assert config == {"applicants": 10_000}
