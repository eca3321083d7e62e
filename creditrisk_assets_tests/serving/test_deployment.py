"""A release on ECS: real service processes behind one address, moto's API, and every way a release fails."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from botocore.exceptions import EndpointConnectionError

from creditrisk_assets.defs.artefact import asset_of
from creditrisk_assets.lake import Lake, sha256_file
from creditrisk_assets.modelling.bundle import Bundle, read_public_key
from creditrisk_assets.resources.duckdb import EmbeddedDuckDB
from creditrisk_assets.resources.platform import Platform
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.ecs_cluster import (
    CLUSTER,
    FAMILY,
    HANGING,
    SERVICE,
    Cluster,
    Processes,
    cluster,
    moto,
)
from creditrisk_assets_tests.serving.portfolio import (
    draw_portfolio,
    publish,
    publish_features,
    publish_online,
    write_raw,
)
from creditrisk_serving.access import Scope, create_key
from creditrisk_serving.defs import deployment
from creditrisk_serving.deployment import ecs
from creditrisk_serving.deployment.ecs import DeploymentError, Outcome, Target
from creditrisk_serving.deployment.verification import Address, Expected, Patience
from creditrisk_serving.scoring.batch import score_features
from creditrisk_serving.settings import ServingSettings

GOOD, BETTER = "registry/scoring@sha256:good", "registry/scoring@sha256:better"
UNHEALTHY, WRONG_MODEL, WRONG_SCORES = "scoring@unhealthy", "scoring@wrong-model", "scoring@wrong-scores"
HANGS, REFUSED, BREAKER, NEVER_UP = "scoring@hangs", "scoring@refused", "scoring@breaker", "scoring@never-up"
# A look is never cut short: where a good answer is due, patience is the test's alone.
QUICK = Patience(rollout=180.0, verification=1.0, answer=30.0, between=0.05)
SHORT = Patience(rollout=4.0, verification=0.1, answer=4.0, between=0.05)


@pytest.fixture(scope="module")
def homes(template: Published, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Path], str]:
    """One home for each image that comes up, and the key they all know."""
    place = tmp_path_factory.mktemp("releases")
    known = place / "known"
    shutil.copytree(template.home, known)
    key = create_key(known / "keys" / "api_keys.json", "release", scopes=(Scope.SCORE,))
    found = {}
    for image in (GOOD, UNHEALTHY, WRONG_MODEL, WRONG_SCORES):
        found[image] = place / image.replace("/", "-").replace(":", "-").replace("@", "-")
        shutil.copytree(known, found[image])
    shutil.rmtree(found[UNHEALTHY] / "bundles")
    publish(template.challenger_bundle, found[WRONG_MODEL])
    other = place / "raw"
    other.mkdir()
    publish_features(Lake(found[WRONG_SCORES] / "lake"), write_raw(draw_portfolio(seed=8), other))
    publish_online(found[WRONG_SCORES])
    return found, key


@pytest.fixture(scope="module")
def processes(homes: tuple[dict[str, Path], str]) -> Iterator[Processes]:
    with ExitStack() as stack:
        yield Processes(homes[0], stack)


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    with moto() as url:
        yield url


@pytest.fixture
def running(processes: Processes, aws: str) -> Iterator[Cluster]:
    with (
        cluster(
            {
                GOOD: lambda: processes.port(GOOD),
                BETTER: lambda: processes.port(GOOD),
                UNHEALTHY: lambda: processes.port(UNHEALTHY),
                WRONG_MODEL: lambda: processes.port(WRONG_MODEL),
                WRONG_SCORES: lambda: processes.port(WRONG_SCORES),
                HANGS: lambda: HANGING,
                REFUSED: lambda: None,
                BREAKER: lambda: "breaker",
                NEVER_UP: lambda: "starting",
            },
            GOOD,
        ) as found,
    ):
        yield found


@pytest.fixture(scope="module")
def expected(template: Published, tmp_path_factory: pytest.TempPathFactory) -> Expected:
    """What the champion's bundle says of the first applicants, by the batch code."""
    path = template.home / "made" / "champion"
    bundle = Bundle.load(path, read_public_key(template.home / "keys"))
    out = tmp_path_factory.mktemp("scores") / "scores.parquet"
    score_features(bundle, f"(SELECT * FROM read_parquet('{template.joined}') ORDER BY sk_id_curr LIMIT 20)", out)
    with duckdb.connect() as con:
        rows = con.execute(f"SELECT sk_id_curr, pd FROM read_parquet('{out}')").fetchall()
    return Expected(bundle.version, sha256_file(path / "manifest.json"), dict(rows))


@pytest.fixture
def target(running: Cluster, homes: tuple[dict[str, Path], str]) -> Target:
    return Target(CLUSTER, SERVICE, "scoring", Address(running.balancer.url, homes[1]))


def release(running: Cluster, target: Target, image: str, expected: Expected, patience: Patience = QUICK) -> Outcome:
    return ecs.release(running.ecs, target, image, expected, patience)


def test_a_good_image_is_released_and_only_the_image_changes(
    running: Cluster, target: Target, expected: Expected
) -> None:
    before = running.service.task_definition
    outcome = release(running, target, BETTER, expected)
    assert outcome.good, outcome.words
    assert outcome.state == "released"
    assert [step.name for step in outcome.steps] == ["migration", "rollout", "healthy", "model_hash", "golden_rows"]
    assert running.commands == [(BETTER, ["migrate"], GOOD)], "before any of its tasks answers"
    assert outcome.task_definition_before == before
    assert running.service.task_definition == outcome.task_definition
    old, new = (
        running.ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
        for arn in (before, outcome.task_definition)
    )
    changed = {name for name in old if old[name] != new[name]} - {"registeredAt"}
    assert changed == {"taskDefinitionArn", "revision", "containerDefinitions"}
    scoring, router = new["containerDefinitions"]
    assert scoring.pop("image") == BETTER
    assert old["containerDefinitions"][0].pop("image") == GOOD
    assert [scoring, router] == old["containerDefinitions"]


def test_the_image_that_runs_is_verified_and_not_started_again(
    running: Cluster, target: Target, expected: Expected
) -> None:
    before = running.ecs.list_task_definitions(familyPrefix=FAMILY)["taskDefinitionArns"]
    outcome = release(running, target, GOOD, expected)
    assert (outcome.state, outcome.good) == ("unchanged", True)
    assert running.started == [GOOD]
    assert running.ecs.list_task_definitions(familyPrefix=FAMILY)["taskDefinitionArns"] == before


@pytest.mark.parametrize(
    ("image", "patience", "failed", "words"),
    [
        (UNHEALTHY, QUICK, "healthy", "no model bundle was published"),
        (WRONG_MODEL, QUICK, "model_hash", "it uses model"),
        (WRONG_SCORES, QUICK, "golden_rows", "of 20 golden rows have another PD than the batch scores"),
        (HANGS, SHORT, "healthy", "no answer"),
        (REFUSED, SHORT, "healthy", "no answer"),
        (BREAKER, QUICK, "rollout", "tasks failed to start"),
        (NEVER_UP, SHORT, "rollout", "did not run within 4 s"),
    ],
)
def test_a_failing_image_is_found_out_and_rolled_back(
    running: Cluster, target: Target, expected: Expected, image: str, patience: Patience, failed: str, words: str
) -> None:
    before = running.service.task_definition
    outcome = release(running, target, image, expected, patience)
    assert (outcome.state, outcome.good) == ("rolled back", False)
    assert [step.name for step in outcome.steps if not step.passed] == [failed]
    assert words in outcome.words
    assert running.service.task_definition == before == outcome.task_definition
    assert image in running.started
    again = release(running, target, GOOD, expected)  # callers reach what they reached before
    assert (again.state, again.good) == ("unchanged", True), again.words
    assert not set(map(str, expected.pds)) & set(outcome.words.split()), "words name an applicant"


def test_a_service_that_cannot_go_back_is_told_as_stuck(running: Cluster, target: Target, expected: Expected) -> None:
    running.images[GOOD] = lambda: HANGING
    outcome = release(running, target, UNHEALTHY, expected, replace(SHORT, rollout=180.0))
    assert (outcome.state, outcome.good) == ("stuck", False)
    assert [step.name for step in outcome.steps] == ["migration", "rollout", "healthy", "rollback", "healthy"]


@pytest.mark.parametrize(("code", "words"), [(1, "failed (exit code 1)"), (None, "did not end within 4 s")])
def test_an_image_whose_migration_fails_is_not_released(
    running: Cluster, target: Target, expected: Expected, code: int | None, words: str
) -> None:
    running.exits[BETTER] = code
    before = running.service.task_definition
    outcome = release(running, target, BETTER, expected, SHORT)
    assert (outcome.state, outcome.good) == ("not begun", False)
    assert words in outcome.words
    assert running.service.task_definition == before == outcome.task_definition
    assert running.started == [GOOD]


def test_schemas_go_back_with_the_image_where_the_old_one_reads_others(
    running: Cluster, target: Target, expected: Expected, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = ecs.HEADS["decision_log"]
    monkeypatch.setitem(ecs.HEADS, "decision_log", "decision_log_9999")
    outcome = release(running, target, WRONG_MODEL, expected)
    assert outcome.state == "rolled back", outcome.words
    assert [(image, command) for image, command, _ in running.commands] == [
        (WRONG_MODEL, ["migrate"]),
        (WRONG_MODEL, ["migrate", "--to", reads]),
    ]
    assert [step.name for step in outcome.steps][-3:] == ["migration back", "rollback", "healthy"]


def test_an_image_put_there_by_hand_goes_back_to_the_last_verified_one(
    running: Cluster, target: Target, expected: Expected
) -> None:
    good = running.service.task_definition
    by_hand = ecs._register(running.ecs, ecs._with_image(ecs._task_definition(running.ecs, good), target, WRONG_MODEL))
    running.ecs.update_service(cluster=CLUSTER, service=SERVICE, taskDefinition=by_hand)
    outcome = ecs.release(running.ecs, target, WRONG_MODEL, expected, QUICK, last_good=good)
    assert outcome.state == "rolled back", outcome.words
    assert running.service.task_definition == good


def test_a_refusal_in_the_middle_is_rolled_back(
    running: Cluster, target: Target, expected: Expected, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = running.ecs.update_service

    def lost(**asked: str) -> None:
        update(**asked)
        monkeypatch.setattr(running.ecs, "update_service", update)
        raise EndpointConnectionError(endpoint_url="https://ecs")

    monkeypatch.setattr(running.ecs, "update_service", lost)
    before = running.service.task_definition
    outcome = release(running, target, BETTER, expected)
    assert outcome.state == "rolled back", outcome.words
    assert "EndpointConnectionError" in outcome.words
    assert running.service.task_definition == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"service": "other"}, "no active service other"),
        ({"cluster": "other"}, "ClusterNotFoundException"),
        ({"container": "other"}, "no container other; it has scoring, log-router"),
    ],
)
def test_a_wrong_target_changes_nothing(
    running: Cluster, target: Target, expected: Expected, change: dict[str, str], words: str
) -> None:
    with pytest.raises(DeploymentError, match=words):
        release(running, replace(target, **change), BETTER, expected)
    assert running.started == [GOOD]


@pytest.fixture
def scored(published: Published, expected: Expected, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A home whose champion has scored, which is what a release is verified against."""
    monkeypatch.setenv("CREDITRISK_HOME", str(published.home))
    lake = Lake(published.home / "lake")
    bundle = Bundle.load(published.home / "made" / "champion", read_public_key(published.home / "keys"))
    with lake.draft("serving/batch_scores") as draft:
        score_features(bundle, f"(SELECT * FROM read_parquet('{published.joined}') ORDER BY sk_id_curr)", draft.data)
        facts = {"model_version": bundle.version, "bundle_sha256": expected.bundle_sha256}
        lake.publish(draft, code_version="test", inputs={}, metadata={"facts": facts})
    return lake


def materialized(raise_on_error: bool = True) -> tuple[bool, dict[str, str]]:
    """Materialize the asset; return whether it succeeded, and what its checks said."""
    with dg.instance_for_test() as instance:
        result = dg.materialize(
            [asset_of(deployment.DEPLOYMENT)],
            resources={"platform": Platform(), "duckdb": EmbeddedDuckDB()},
            instance=instance,
            raise_on_error=raise_on_error,
        )
    return result.success, {one.check_name: str(one.description) for one in result.get_asset_check_evaluations()}


def test_without_a_target_it_says_so_and_does_nothing(scored: Lake) -> None:
    succeeded, said = materialized()
    assert succeeded
    assert said == {"released": deployment.NO_TARGET, "answers_as_released": deployment.NO_TARGET}
    assert deployment.headline(Settings()) == deployment.NO_TARGET


def test_the_asset_releases_and_keeps_the_last_good_release(
    running: Cluster, scored: Lake, homes: tuple[dict[str, Path], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployment, "Patience", lambda: QUICK)
    for name, value in (
        ("CLUSTER", CLUSTER),
        ("SERVICE", SERVICE),
        ("URL", running.balancer.url),
        ("API_KEY", homes[1]),
    ):
        monkeypatch.setenv(f"CREDITRISK_SERVING_DEPLOY_{name}", value)
    monkeypatch.setenv("CREDITRISK_SERVING_DEPLOY_IMAGE", BETTER)
    succeeded, said = materialized()
    assert succeeded, said
    assert said["released"] == f"{BETTER} released"
    assert said["answers_as_released"] == "20 PDs equal those of the batch scores to 1e-09"
    good = scored.require(deployment.KEY)
    monkeypatch.setenv("CREDITRISK_SERVING_DEPLOY_IMAGE", WRONG_MODEL)
    succeeded, said = materialized(raise_on_error=False)
    assert not succeeded
    assert f"{WRONG_MODEL} rolled back (model_hash" in said["released"]
    assert scored.require(deployment.KEY).version == good.version
    assert running.image_of(running.service.task_definition) == BETTER


def test_half_a_target_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITRISK_SERVING_DEPLOY_IMAGE", GOOD)
    with pytest.raises(ValueError, match="CREDITRISK_SERVING_DEPLOY_CLUSTER, CREDITRISK_SERVING_DEPLOY_SERVICE"):
        ServingSettings()
