"""The serving commands of `creditrisk`: they join by the entry point group `creditrisk.commands`.

What belongs here: options, what is printed. What does not: the application (`app`). Everything heavy is imported
inside a command.
"""

import asyncio
import json
import os
import secrets
import shutil
import socket
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from creditrisk_assets.settings import SERVING_PREFIX, Settings
from creditrisk_serving.keys_cli import app as keys
from creditrisk_serving.settings import ServingSettings

DEVELOPMENT_KEY = "development"
OK = 200

app = typer.Typer(no_args_is_help=True)
app.add_typer(keys, name="keys")


@app.callback()
def commands() -> None:
    """Serve decisions."""


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; default: this machine only.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; default 8000.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; default 1.")] = None,
) -> None:
    """Serve the published model over HTTP; it follows newly published models by itself."""
    import uvicorn  # noqa: PLC0415 # only this command needs it

    from creditrisk_serving.observability import log_config  # noqa: PLC0415
    from creditrisk_serving.supervisor import Supervisor  # noqa: PLC0415

    # LightGBM's threads spin while they wait: with more than one, a busy machine takes far longer for a single row.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for name, value in (("HOST", host), ("PORT", port), ("WORKERS", workers)):
        if value is not None:
            os.environ[f"{SERVING_PREFIX}{name}"] = str(value)  # read again by every worker process
    settings = ServingSettings()
    require_free_port(settings.host, settings.port)
    refuse_other_schemas(settings)
    console = Console(stderr=True, highlight=False)
    if not settings.api_keys_file.exists():
        key = first_key(settings)
        console.print(
            f"API key (shown this once, kept hashed in {settings.api_keys_file}):\n  [bold]{key}[/]", soft_wrap=True
        )
    console.print(
        f"scoring API on http://{settings.host}:{settings.port} (in a browser: the decision desk);"
        " send the key as X-API-Key; /ready says what is loaded",
        soft_wrap=True,
    )
    server: dict[str, Any] = {
        "app": "creditrisk_serving.process:create",
        "factory": True,
        "host": settings.host,
        "port": settings.port,
        "access_log": False,  # the application writes its own line, without paths
        "server_header": False,
        "timeout_graceful_shutdown": 30,
        "log_config": log_config(),
    }
    if settings.workers == 1:
        uvicorn.run(**server)
        return
    share_metrics(settings.metrics_directory)
    # By default a worker that starts on a busy machine is killed after 5 seconds.
    config = uvicorn.Config(**server, workers=settings.workers, timeout_worker_healthcheck=30)
    Supervisor(config, [config.bind_socket()]).run()


@app.command()
def applicant(
    applicant_id: Annotated[int, typer.Argument(help="SK_ID_CURR of an applicant whose features are published.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text.")] = False,
) -> None:
    """Score one known applicant through the service's own code; the decision is logged like any other."""
    found = score_applicant(Settings(), applicant_id)
    if as_json:
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
        return
    console = Console(highlight=False)
    console.print(
        f"applicant {found['applicant_id']}: [bold]{found['decision']}[/], PD {found['pd']:.4f}, band {found['band']}"
    )
    console.print(f"  model {found['model_version']}, policy {found['policy_version']}")
    console.print(
        "  features: " + ", ".join(f"{name} {state}" for name, state in found["families"].items()), soft_wrap=True
    )
    console.print(f"  decision {found['decision_id']}")


def stored(settings: ServingSettings, decision_id: str) -> tuple[Any, dict[str, Any]]:
    """Return a decision's record, and what the log alone can tell of it: features by name, reviews."""
    from creditrisk_serving.decisions.log import DecisionLog  # noqa: PLC0415
    from creditrisk_serving.errors import DecisionNotStoredError  # noqa: PLC0415

    log = DecisionLog(settings.decision_log_url, settings.journal_directory)
    try:
        if (record := log.find(decision_id)) is None:
            raise RuntimeError(f"no decision has the id {decision_id}")
        return record, {"features": log.features(record), "reviews": log.reviews(decision_id)}
    except DecisionNotStoredError as error:
        raise RuntimeError(f"{error.detail}; check CREDITRISK_SERVING_DECISIONS_URL") from error
    finally:
        log.close()


@app.command("decision")
def show_decision(
    decision_id: Annotated[str, typer.Argument(help="The decision_id of an answer.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON, input and features too.")] = False,
) -> None:
    """Show a stored decision: what was decided, why, on which versions; what its shadow would have decided; its reviews."""
    record, told = stored(ServingSettings(), decision_id)
    if as_json:
        sys.stdout.write(msgspec.json.encode(msgspec.structs.asdict(record) | told).decode() + "\n")
        return
    lines = [
        f"decision {decision_id} of {record.decided_at}: {record.decision}, PD {record.pd:.6f}, grade {record.band}",
        f"  applicant {record.applicant_id}, asked for by {record.caller}",
        f"  model {record.model_version}, policy {record.policy_version}",
    ]
    lines += [f"  features {family}: {state}" for family, state in record.families.items()]
    lines += [f"  reason {reason.code}: {reason.text}" for reason in record.reasons or ()]
    if (other := record.shadow) is not None:
        lines.append(f"  shadow {other.model_version}: {other.decision}, PD {other.pd:.6f}, grade {other.band}")
    lines += [f"  reviewed {one.reviewed_at} by {one.reviewer}: {one.outcome}, {one.reason}" for one in told["reviews"]]
    if record.input is None:
        lines.append("  input and features: erased")
    for line in lines:
        Console(highlight=False).print(line, soft_wrap=True, markup=False)


@app.command("replay")
def replay_decision(
    decision_id: Annotated[str, typer.Argument(help="The decision_id of an answer.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text.")] = False,
) -> None:
    """Decide a stored decision again from its input on the model it was made with; exit code 1 if one bit differs."""
    from creditrisk_assets.features.request import RequestFeatures  # noqa: PLC0415
    from creditrisk_serving.scoring.replay import pinned_bundle, replay  # noqa: PLC0415
    from creditrisk_serving.trust import trusted_signers  # noqa: PLC0415

    settings = ServingSettings()
    record, _ = stored(settings, decision_id)
    bundle = pinned_bundle(settings.platform.bundles, record, trusted_signers(settings))
    found = replay(record, bundle, RequestFeatures(bundle.plan))
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        console = Console(highlight=False)
        console.print(f"decision {decision_id}: {'equal to the last bit' if found.equal else 'differs'}")
        console.print(f"  model {found.model_version}, PD {found.pd:.6f}, {found.decision}")
        for families, where in (
            (found.rebuilt, "computed again"),
            (found.taken, "looked up then, taken from the record"),
        ):
            console.print(f"  {where}: {', '.join(families) or 'nothing'}", soft_wrap=True)
        for name in found.differences:
            console.print(f"  differs: {name}", soft_wrap=True)
    if not found.equal:
        raise typer.Exit(1)


@app.command()
def prune(
    keep_days: Annotated[float, typer.Option(min=0, help="Whatever is younger stays.")] = 90,
    delete: Annotated[bool, typer.Option("--delete", help="Delete it; without, only say what would go.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text.")] = False,
) -> None:
    """Delete models and lake versions that nothing refers to: no pointer, alias, approval, champion ever, and no decision."""
    from datetime import timedelta  # noqa: PLC0415

    from creditrisk_serving.pruning import prune as prune_all  # noqa: PLC0415

    found = prune_all(ServingSettings(), timedelta(days=keep_days), delete=delete)
    if as_json:
        sys.stdout.write(json.dumps({**vars(found), "deleted": delete}) + "\n")
        return
    verb = "deleted" if delete else "would delete (say --delete)"
    console = Console(highlight=False)
    console.print(
        f"{verb}: {len(found.bundles)} models, {len(found.versions)} versions of the lake, {found.bytes / 1e6:,.1f} MB",
        soft_wrap=True,
    )
    for name in (*found.bundles, *(f"{key} {version[:16]}" for key, version in found.versions)):
        console.print(f"  {name}", soft_wrap=True)


@app.command("erase-applicant")
def erase_applicant(
    applicant_id: Annotated[int, typer.Argument(help="SK_ID_CURR.")],
    reason: Annotated[str, typer.Option(help="Why, without personal data; it is kept in the log.")],
) -> None:
    """Erase what the decision log holds of an applicant's data; refused while they must be kept. It cannot be undone."""
    from creditrisk_serving.decisions.erasure import erase  # noqa: PLC0415
    from creditrisk_serving.decisions.log import DecisionLog  # noqa: PLC0415

    settings = ServingSettings()
    log = DecisionLog(settings.decision_log_url, settings.journal_directory, stored="database")
    log.start()
    try:
        made = erase(log, applicant_id, hold_days=settings.hold_days, reason=reason)
    finally:
        log.close()
    Console(highlight=False).print(f"erased: the data of {made.decisions} decisions of applicant {applicant_id}")


@app.command("verify-log")
def verify_decision_log(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text.")] = False,
) -> None:
    """Compare every record of the decision log with its hash chain and the signed checkpoints; exit code 1 if one is not as written."""
    from creditrisk_serving.decisions.checkpoints import read_checkpoints  # noqa: PLC0415
    from creditrisk_serving.decisions.database import reading  # noqa: PLC0415
    from creditrisk_serving.decisions.verification import verify_log  # noqa: PLC0415
    from creditrisk_serving.trust import trusted_signers  # noqa: PLC0415

    settings = ServingSettings()
    with reading(settings.decision_log_url) as database:
        found = verify_log(database, read_checkpoints(settings.checkpoints_file, trusted_signers(settings)))
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        console = Console(highlight=False)
        for finding in found.findings:
            console.print(
                f"[bold]{finding.kind}[/] {finding.record or ''} (chain {finding.writer}, place {finding.sequence}): {finding.message}",
                soft_wrap=True,
            )
        console.print(
            f"{found.records} records in {found.chains} chains, {found.checkpoints} checkpoints, {found.unchained} records without a chain:"
            f" {f'{len(found.findings)} findings' if found.findings else 'as written'}",
            soft_wrap=True,
        )
    if found.findings:
        raise typer.Exit(1)


@app.command("checkpoint-log")
def checkpoint_decision_log() -> None:
    """Sign what the decision log holds, after verifying what is new in it; the file belongs outside the database."""
    from creditrisk_assets.modelling.bundle import read_signers  # noqa: PLC0415
    from creditrisk_assets.modelling.signing import signing_key  # noqa: PLC0415
    from creditrisk_serving.decisions.database import reading  # noqa: PLC0415
    from creditrisk_serving.decisions.verification import checkpoint_log  # noqa: PLC0415

    settings = ServingSettings()
    key = signing_key(settings.platform.keys, settings.platform.signing_key)
    with reading(settings.decision_log_url) as database:
        one = checkpoint_log(database, settings.checkpoints_file, key, read_signers(settings.platform.keys))
    Console(highlight=False).print(
        f"checkpoint {one.number} in {settings.checkpoints_file}: {one.records} records in {one.chains} chains",
        soft_wrap=True,
    )


def score_applicant(settings: Settings, applicant_id: int) -> dict[str, Any]:
    """Score one known applicant through the real application, in this process.

    Parameters
    ----------
    settings
        The platform's settings.
    applicant_id
        SK_ID_CURR of an applicant in the published features.

    Returns
    -------
    dict
        The applicant's part of the answer (pd, decision, band, decision_id, families, versions) and the request_id.

    Raises
    ------
    RuntimeError
        It was not scored; the message says why.
    """
    return asyncio.run(_score_applicant(ServingSettings(platform=settings), applicant_id))


async def _score_applicant(settings: ServingSettings, applicant_id: int) -> dict[str, Any]:
    from creditrisk_serving.access import Key, Keyring, Scope, hash_key  # noqa: PLC0415 # heavy, and not needed by `serve --help`
    from creditrisk_serving.app import create_app  # noqa: PLC0415
    from creditrisk_serving.inprocess import call, running  # noqa: PLC0415

    key = secrets.token_urlsafe(32)
    application = create_app(
        settings, keys=Keyring([Key("command-line", hash_key(key), scopes=(Scope.SCORE, Scope.EXPLAIN))])
    )
    headers = {"X-API-Key": key, "Content-Type": "application/json"}
    body = json.dumps({"applicant_ids": [applicant_id]}).encode()
    async with running(application):
        reply = await call(application, "POST", "/predict", body=body, headers=headers)
        answer = reply.json()
        if reply.status == OK:
            return {**answer["decisions"][0], "request_id": answer["request_id"]}
        ready = (await call(application, "GET", "/ready")).json()
    why = [error["message"] for error in answer.get("errors", ())] or ready["reasons"] or [answer["detail"]]
    raise RuntimeError(f"applicant {applicant_id} was not scored: {'; '.join(why)}")


def require_free_port(host: str, port: int) -> None:
    """Refuse to start where something else listens.

    Raises
    ------
    RuntimeError
        The address cannot be listened on.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise RuntimeError(
                f"{host}:{port} cannot be listened on ({error.strerror}); choose another with --port"
            ) from error


def refuse_other_schemas(settings: ServingSettings) -> None:
    """Refuse to start on databases that another release wrote.

    Raises
    ------
    RuntimeError
        One is of another schema; the message says what to do.
    """
    from creditrisk_serving.decisions.database import Database  # noqa: PLC0415
    from creditrisk_serving.online.store import OnlineStore  # noqa: PLC0415

    for database in (
        Database(settings.decision_log_url),
        OnlineStore(settings.platform.online, settings.platform.online_store_url),
    ):
        try:
            database.check_schema()
        finally:
            database.close()


def first_key(settings: ServingSettings) -> str:
    """Make the development key."""
    from creditrisk_serving.access import Scope, create_key  # noqa: PLC0415

    return create_key(settings.api_keys_file, DEVELOPMENT_KEY, scopes=(Scope.ADMIN,))


def share_metrics(directory: Path) -> None:
    """Have the worker processes put their metrics together in an empty directory."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
