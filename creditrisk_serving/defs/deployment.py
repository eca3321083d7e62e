"""The service where callers reach it, as an asset: released to ECS, verified through the load balancer, rolled back otherwise."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import dagster as dg

from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.defs.artefact import Artefact, CheckOutcome, Made, Seen, Work, table_of
from creditrisk_assets.defs.vocabulary import Describe
from creditrisk_assets.lake import Lake, Version
from creditrisk_assets.resources.duckdb import EmbeddedDuckDB
from creditrisk_assets.resources.platform import Platform
from creditrisk_assets.settings import Settings
from creditrisk_serving.defs.batch import KEY as SCORES
from creditrisk_serving.defs.online import KEY as ONLINE
from creditrisk_serving.deployment import ecs, verification
from creditrisk_serving.deployment.ecs import Target
from creditrisk_serving.deployment.verification import Address, Expected, Patience, Step
from creditrisk_serving.settings import ServingSettings

KEY = "serving/deployment"
RECORD = "deployment.json"
NO_TARGET = "no target is configured (CREDITRISK_SERVING_DEPLOY_CLUSTER); nothing was done"
GOLDEN_ROWS = 20
CHECKS = {
    "released": "The image asked for runs alone, and passed its verification; what failed was rolled back.",
    "answers_as_released": "At this moment, callers reach a healthy service with the champion's bundle and the PDs of the batch scores.",
}
STEPS = dg.TableSchema(
    columns=[
        dg.TableColumn("step", "string", description="what was asked or done"),
        dg.TableColumn("passed", "bool", description="whether it went as it must"),
        dg.TableColumn("words", "string", description="what was found"),
    ]
)


@dataclass(frozen=True)
class Live:
    """The target at the start of a run."""

    target: Target
    client: Any
    image: str  # asked for
    running: str


def target_of(settings: ServingSettings) -> Target | None:
    """Return the target the settings name, if any."""
    if settings.deploy_cluster is None or settings.deploy_api_key is None:
        return None
    return Target(
        cluster=settings.deploy_cluster,
        service=str(settings.deploy_service),
        container=settings.deploy_container,
        address=Address(str(settings.deploy_url), settings.deploy_api_key.get_secret_value()),
    )


def _observe(context: dg.AssetExecutionContext) -> Seen:
    platform: Platform = context.resources.platform
    settings = ServingSettings(platform=platform.settings)
    if (target := target_of(settings)) is None:
        return Seen({"target": "none"})
    import boto3  # noqa: PLC0415 # only where there is a target

    client = boto3.client("ecs")
    running = ecs.live_image(client, target)
    image = settings.deploy_image or running
    return Seen(
        {"target": f"{target.cluster}/{target.service}", "image": image, "running": str(running == image)},
        Live(target, client, image, running),
    )


def _make(work: Work) -> Made:
    live: Live | None = work.seen
    if live is None:
        _write(work, {"target": None})
        return Made({"headline": NO_TARGET, "steps": []}, [_passed("released", NO_TARGET)])
    outcome = ecs.release(
        live.client,
        live.target,
        live.image,
        _expected(work.context, work.inputs[SCORES]),
        Patience(),
        last_good=_last_good(work, live.target),
    )
    record = {"target": {"cluster": live.target.cluster, "service": live.target.service}, **asdict(outcome)}
    _write(work, record)
    steps = _rows(outcome.steps)
    released = CheckOutcome(
        "released", passed=outcome.good, facts={"description": outcome.words, "state": outcome.state, "steps": steps}
    )
    return Made({"headline": outcome.words, "steps": steps}, [released])


def _write(work: Work, record: Mapping[str, Any]) -> None:
    (work.draft.path / RECORD).write_text(json.dumps(record, indent=1, sort_keys=True), "utf-8")


def _last_good(work: Work, target: Target) -> str | None:
    """Return the task definition of the last verified release to the same target."""
    before = work.lake.current(KEY)
    record = json.loads((before.path / RECORD).read_text("utf-8")) if before is not None else {}
    if record.get("target") != {"cluster": target.cluster, "service": target.service}:
        return None
    return str(record["task_definition"])


def _expected(context: dg.AssetExecutionContext, scores: Version) -> Expected:
    """Take golden rows from the batch scores, which the same bundle made."""
    duckdb: EmbeddedDuckDB = context.resources.duckdb
    with duckdb.get_connection() as con:
        rows = con.execute(
            f"SELECT sk_id_curr, pd FROM {parquet(scores.data)} ORDER BY hash(sk_id_curr), sk_id_curr LIMIT {GOLDEN_ROWS}"  # noqa: S608 -- a quoted path
        ).fetchall()
    facts = scores.manifest.metadata["facts"]
    return Expected(facts["model_version"], facts["bundle_sha256"], {int(key): float(pd) for key, pd in rows})


def _today(context: dg.AssetExecutionContext, _version: Version, live: Live | None) -> Sequence[CheckOutcome]:
    if live is None:
        return [_passed("answers_as_released", NO_TARGET)]
    platform: Platform = context.resources.platform
    expected = _expected(context, platform.lake.require(SCORES))
    steps = verification.verify(live.target.address, expected, Patience())
    wrong = [f"{step.name}: {step.words}" for step in steps if not step.passed]
    return [
        CheckOutcome(
            "answers_as_released",
            passed=not wrong,
            facts={"description": "; ".join(wrong) or steps[-1].words, "steps": _rows(steps)},
        )
    ]


def headline(settings: Settings) -> str:
    """Return what became of the last release, in one sentence."""
    return str(Lake(settings.lake).require(KEY).manifest.metadata["facts"]["headline"])


def _rows(steps: Sequence[Step]) -> list[dict[str, Any]]:
    return [{"step": step.name, "passed": step.passed, "words": step.words} for step in steps]


def _passed(name: str, words: str) -> CheckOutcome:
    return CheckOutcome(name, passed=True, facts={"description": words})


def _show(version: Version) -> Mapping[str, dg.MetadataValue]:
    facts = version.manifest.metadata["facts"]
    shown: dict[str, dg.MetadataValue] = {"headline": dg.MetadataValue.text(facts["headline"])}
    return shown | ({"steps": table_of(facts["steps"])} if facts["steps"] else {})


DEPLOYMENT = Artefact(
    key=KEY,
    group="serving",
    kinds=frozenset({"fastapi"}),
    describe=Describe(
        what="The scoring service where callers reach it: the image released to ECS, verified from outside, rolled back otherwise.",
        grain="one row per step of the release",
        built_from=f"`{SCORES}`, the image asked for, the live task definition",
        known_at="after the release",
        consumed_by="callers of the service; whoever approves releases",
        fails_when="the image does not come up, is not healthy, uses another bundle or gives other PDs; it is rolled back first",
        source="creditrisk_serving/deployment/ecs.py",
    ),
    code_version=code_version(ecs, verification),
    make=_make,
    show=_show,
    deps=(SCORES,),
    after=(ONLINE,),
    checks=CHECKS,
    observe=_observe,
    today=_today,
    columns=STEPS,
)
ARTEFACTS = (DEPLOYMENT,)
