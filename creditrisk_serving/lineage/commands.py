"""The command `creditrisk lineage`: it joins by the entry point group `creditrisk.commands`.

What belongs here: options, what is printed. What does not: following a decision (`decision`). Everything heavy is imported inside the
command.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

app = typer.Typer(no_args_is_help=True)
SHORT = 12  # characters of a version that are printed


@app.callback()
def commands() -> None:
    """Follow decisions back to raw files."""


@app.command()
def lineage(
    decision_id: Annotated[str, typer.Argument(help="The decision_id of an answer, or <batch_id>-<SK_ID_CURR>.")],
    scores: Annotated[
        Path | None, typer.Option(help="Of a batch: the file `creditrisk score` wrote, whose manifest names its files.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compute the hashes of all files in the lake again.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text.")] = False,
) -> None:
    """Follow a decision back to model, runs, policy, features and raw files; exit code 1 if a link is gone."""
    from dataclasses import asdict, replace  # noqa: PLC0415

    from creditrisk_assets.lake import Lake  # noqa: PLC0415
    from creditrisk_serving.decisions.log import DecisionLog  # noqa: PLC0415
    from creditrisk_serving.errors import DecisionNotStoredError  # noqa: PLC0415
    from creditrisk_serving.lineage.decision import lineage_of  # noqa: PLC0415
    from creditrisk_serving.lineage.runs import forgotten_runs  # noqa: PLC0415
    from creditrisk_serving.settings import ServingSettings  # noqa: PLC0415

    settings = ServingSettings()
    log = DecisionLog(settings.decision_log_url, settings.journal_directory)
    try:
        found = lineage_of(log, Lake(settings.platform.lake), decision_id, scores=scores, verify=verify)
    except DecisionNotStoredError as error:
        raise RuntimeError(f"{error.detail}; check CREDITRISK_SERVING_DECISIONS_URL") from error
    finally:
        log.close()
    found = replace(found, gaps=(*found.gaps, *forgotten_runs(settings.platform, found.model)))
    if as_json:
        sys.stdout.write(json.dumps(asdict(found), indent=1) + "\n")
    else:
        _print(found)
    if found.gaps:
        raise typer.Exit(1)


def _print(found: Any) -> None:
    console, model = Console(highlight=False), found.model
    console.print(f"decision [bold]{found.decision_id}[/] of {found.decided_at}, by {found.made_by}", soft_wrap=True)
    for name, value in (
        ("policy", f"{found.policy_version} ({model.policy_sha256 or 'hash not known'})"),
        ("model", f"{model.model_version}, registry version {model.registry_version or 'not known'}"),
        ("bundle", found.bundle_sha256),
        ("code", model.code_version or "not known"),
        ("MLflow run", model.mlflow_run_id or "not known"),
        ("Dagster run", model.dagster_run_id or "not known"),
    ):
        console.print(f"  {name:<12} {value}", soft_wrap=True)
    for one in found.families:
        console.print(
            f"  {'features':<12} {one.family}: {one.state}, {one.version or 'from the input'}", soft_wrap=True
        )
    for one in found.sent_files:
        console.print(f"  {'input':<12} {one.address} {one.sha256}", soft_wrap=True)
    for step in found.chain.steps:
        console.print(f"  {step.key:<30} {step.version[:SHORT]} of {step.made_at}", soft_wrap=True)
    for step in found.chain.raw_tables:
        for file in step.raw_files:
            console.print(f"  {file.address} ({file.rows:,} rows) {file.sha256}", soft_wrap=True)
    for gap in found.gaps:
        console.print(f"[bold red]gone[/] {gap.link}, named by {gap.named_by}: {gap.why}", soft_wrap=True)
