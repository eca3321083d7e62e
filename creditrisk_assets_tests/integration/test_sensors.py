"""The sensors that retrain, on a real instance: evidence is answered once, whatever becomes of the cursor."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from creditrisk_assets.definitions import build_defs
from creditrisk_assets.defs import months, retraining
from creditrisk_assets.defs.month_report import MONTH_REPORT
from creditrisk_assets.defs.retraining import (
    DRIFT,
    ENDED,
    EVIDENCE,
    ended_in,
    new_data_evidence,
    performance_evidence,
    schedule_evidence,
)
from creditrisk_assets.lake import Lake, Version
from creditrisk_assets.modelling.signing import signing_key
from creditrisk_assets.registry.ledger import Entry, Event
from creditrisk_assets.settings import Settings


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as found:
        yield found


@pytest.fixture(scope="module")
def repository() -> dg.RepositoryDefinition:
    return build_defs().get_repository_def()


def tick(instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, cursor: str | None) -> Any:
    context = dg.build_sensor_context(instance=instance, repository_def=repository, cursor=cursor)
    return retraining.on_drift.evaluate_tick(context)


def publish(key: str, version: str, facts: dict[str, Any], inputs: dict[str, str] | None = None) -> Version:
    lake = Lake(Settings().lake)
    with lake.draft(key) as draft:
        draft.data.write_text(version)
        return lake.publish(draft, code_version="c", inputs=inputs or {}, metadata={"facts": facts}, version=version)


def report(retrain: bool, version: str) -> None:
    publish(DRIFT, version, {"retrain": retrain, "headline": "moved"})


def launch(
    instance: dg.DagsterInstance,
    repository: dg.RepositoryDefinition,
    request: dg.RunRequest,
    status: dg.DagsterRunStatus,
) -> None:
    job = repository.get_job("retrain_model")
    instance.create_run_for_job(job, tags=dict(request.tags), status=status)


def test_a_drift_report_is_answered_once(instance: dg.DagsterInstance, repository: dg.RepositoryDefinition) -> None:
    nothing = tick(instance, repository, None)
    assert not nothing.run_requests
    report(retrain=True, version="r1")
    first = tick(instance, repository, nothing.cursor)
    (request,) = first.run_requests
    assert request.run_key.startswith("drift:")
    assert request.tags[retraining.CAUSE] == "moved"
    # killed before the run was launched: the same name again, which Dagster launches once
    assert tick(instance, repository, nothing.cursor).run_requests[0].run_key == request.run_key
    launch(instance, repository, request, dg.DagsterRunStatus.STARTED)
    assert not tick(instance, repository, None).run_requests
    report(retrain=True, version="r2")
    waiting = tick(instance, repository, None)
    assert not waiting.run_requests
    assert json.loads(waiting.cursor)["answered"] is None


def test_a_retrain_that_failed_is_tried_again_and_then_given_up(
    instance: dg.DagsterInstance, repository: dg.RepositoryDefinition
) -> None:
    report(retrain=True, version="r1")
    keys = []
    for _ in range(2):
        (request,) = tick(instance, repository, None).run_requests
        keys.append(request.run_key)
        launch(instance, repository, request, dg.DagsterRunStatus.FAILURE)
    assert len(set(keys)) == 2
    given_up = tick(instance, repository, None)
    assert not given_up.run_requests
    assert json.loads(given_up.cursor)["answered"] == request.tags[EVIDENCE]


def test_a_retrain_that_crashed_is_repeated_once(
    instance: dg.DagsterInstance, repository: dg.RepositoryDefinition
) -> None:
    """Between its crash and Dagster's own retry a look finds it failed."""
    report(retrain=True, version="r1")
    (request,) = tick(instance, repository, None).run_requests
    crashed = instance.create_run_for_job(
        repository.get_job("retrain_model"), tags=dict(request.tags), status=dg.DagsterRunStatus.FAILURE
    )
    instance.add_run_tags(crashed.run_id, {"dagster/will_retry": "true"})
    assert not tick(instance, repository, None).run_requests
    instance.add_run_tags(crashed.run_id, {"dagster/auto_retry_run_id": "the retry"})
    launch(instance, repository, request, dg.DagsterRunStatus.SUCCESS)
    assert not tick(instance, repository, None).run_requests


def test_a_quiet_report_asks_for_nothing(instance: dg.DagsterInstance, repository: dg.RepositoryDefinition) -> None:
    report(retrain=False, version="r1")
    assert not tick(instance, repository, None).run_requests


@pytest.mark.parametrize(
    ("champion", "explained_by", "calls"),
    [("a" * 16, "", True), ("b" * 16, "", False), ("a" * 16, "missing feed", False), ("a" * 16, "prior", False)],
)
def test_a_breach_counts_for_the_model_in_use_where_no_drift_was_answered(
    champion: str, explained_by: str, calls: bool
) -> None:
    settings = Settings()
    settings.bundles.joinpath(champion).mkdir(parents=True)
    settings.bundles.joinpath("CURRENT").write_text(json.dumps({"version": champion}))
    breach = {
        "month": "2026-05",
        "figure": "auc",
        "model_version": "a" * 16,
        "words": "worse",
        "explained_by": explained_by,
        "evidence": "auc:2026-05",
    }
    facts = {"months": [{"month": "2026-05", "realised": {}}], "breaches": [breach], "headline": ""}
    publish(months.MONTH_PERFORMANCE, "p1", facts)
    first = performance_evidence(settings, Lake(settings.lake), datetime.now(UTC))
    assert first is not None
    assert first.calls is calls
    publish(months.MONTH_PERFORMANCE, "p2", facts)
    second = performance_evidence(settings, Lake(settings.lake), datetime.now(UTC))
    assert second is not None
    assert (second.key == first.key) is calls, "the same breach in a newer table is the same evidence"


def test_new_data_call_when_features_follow_and_enough_is_new() -> None:
    settings = Settings()
    lake, now = Lake(settings.lake), datetime.now(UTC)
    assert new_data_evidence(settings, lake, now) is None
    publish("raw/application_train", "a1", {"rows": 1000})
    publish("training/split_train", "s1", {}, {"raw/application_train": "a1"})
    publish("model/pd", "m1", {}, {"training/split_train": "s1"})

    def features_of(raw: str) -> None:
        publish("features/application", f"f-{raw}", {}, {"raw/application_train": raw})
        publish("features/applicant", f"x-{raw}", {}, {"features/application": f"f-{raw}"})

    features_of("a1")
    assert new_data_evidence(settings, lake, now).calls is False
    publish("raw/application_train", "a2", {"rows": 1100})
    assert new_data_evidence(settings, lake, now) is None, "features do not follow yet"
    features_of("a2")
    assert new_data_evidence(settings, lake, now).calls is True


def test_an_old_model_is_asked_about_once_in_each_span() -> None:
    settings = Settings()
    made = publish("model/pd", "m1", {}).manifest.created_at
    lake, then = Lake(settings.lake), datetime.fromisoformat(made)
    found = [schedule_evidence(settings, lake, then + timedelta(days=days)) for days in (1, 91, 120, 181)]
    assert [each.calls for each in found] == [False, True, True, True]
    assert found[1].key == found[2].key != found[3].key


def test_months_are_reported_on_when_a_month_changed_and_not_when_a_model_did(instance: dg.DagsterInstance) -> None:
    definitions = build_defs()
    group = dg.AssetSelection.groups(months.GROUP)

    def materialized(key: str, version: str, partition: str | None = None) -> None:
        tags = {"dagster/data_version": version}
        instance.report_runless_asset_event(dg.AssetMaterialization(key.split("/"), partition=partition, tags=tags))

    def requested(cursor: Any) -> tuple[set[str], Any]:
        found = dg.evaluate_automation_conditions(definitions, instance=instance, asset_selection=group, cursor=cursor)
        asked = {each.key.to_user_string() for each in found.results if each.true_subset.size}
        return asked, found.cursor

    asked, cursor = requested(None)
    for version in ("1", "2"):
        materialized("model/out_of_fold", version)
        asked, cursor = requested(cursor)
        assert not asked, "there may be no month yet"
    materialized(months.MONTH_APPLICATIONS, "1", "2026-05-01")
    asked, cursor = requested(cursor)
    assert asked == {months.MONTH_PERFORMANCE, MONTH_REPORT}, "in one run"
    materialized(months.MONTH_PERFORMANCE, "1")
    materialized(MONTH_REPORT, "1")
    assert not requested(cursor)[0], "a month is reported on once"
    materialized(months.MONTH_APPLICATIONS, "1", "2026-05-01")
    assert months.MONTH_PERFORMANCE not in requested(cursor)[0], "the same data version is no change"


NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def entries(*events: tuple[int, str, str, bool]) -> list[Entry]:
    """Events of a ledger at minutes after noon."""
    made = []
    for number, (minute, kind, version, passed) in enumerate(events):
        at = (NOON + timedelta(minutes=minute)).isoformat(timespec="microseconds")
        event = Event(kind, version, "platform", "AUC is lower", at=at, details={"passed": passed})
        made.append(Entry(number, event, ""))
    return made


FIRST = ((-90, "registration", "m1", True), (-89, "comparison", "m1", True), (-88, "promotion", "m1", True))


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ((), "keep champion m1: what there is to learn from gives no other model"),
        (
            ((5, "registration", "m2", True), (6, "comparison", "m2", False)),
            "keep champion m1: m2 is no better (AUC is lower)",
        ),
        (
            ((5, "registration", "m2", True), (6, "comparison", "m2", True)),
            "until m2, which is within the limits, is approved",
        ),
        (
            ((5, "registration", "m2", True), (6, "comparison", "m2", True), (7, "promotion", "m2", True)),
            "m2 became champion",
        ),
        (((25, "registration", "m2", True), (27, "promotion", "m2", True)), "keep champion m1: what"),  # after it ended
        (
            ((-9, "registration", "m2", True), (-8, "comparison", "m2", False)),
            "m2 is no better",
        ),  # trained before, again
    ],
    ids=[
        "the same model",
        "no better",
        "to be approved",
        "promoted",
        "promoted by another",
        "the same candidate again",
    ],
)
def test_what_a_retrain_ended_in_is_read_from_the_ledger(
    events: tuple[tuple[int, str, str, bool], ...], words: str
) -> None:
    assert words in ended_in(entries(*FIRST, *events), NOON, NOON + timedelta(minutes=20))


def test_a_retrain_that_succeeded_is_told_what_it_ended_in(
    instance: dg.DagsterInstance, repository: dg.RepositoryDefinition
) -> None:
    report(retrain=True, version="r1")
    (request,) = tick(instance, repository, None).run_requests
    launch(instance, repository, request, dg.DagsterRunStatus.SUCCESS)
    tick(instance, repository, None)
    assert ENDED not in instance.get_runs()[0].tags, "a ledger that cannot be read says nothing, and stops nothing"
    signing_key(Settings().keys)
    tick(instance, repository, None)
    (run,) = instance.get_runs()
    assert run.tags[ENDED] == "no model is in use"
