"""The commands of batches: they join by the entry point group `creditrisk.commands`.

What belongs here: options, what is printed. What does not: scoring (`job`), comparing files with the log (`record`). Everything heavy is
imported inside a command.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

app = typer.Typer(no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text.")]
SHOWN = 10


@app.callback()
def commands() -> None:
    """Score files of applications."""


@app.command()
def score(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            help="CSV or Parquet file of raw applications, or a directory with one file per raw table, named as Kaggle does.",
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="File to write, .parquet or .csv; a manifest and rejected rows go beside it.")
    ],
    histories: Annotated[
        Path | None, typer.Option(help="Directory of history tables, where INPUT is a file of applications.")
    ] = None,
    max_rejected: Annotated[
        float, typer.Option(min=0, max=1, help="Share of rejected applications past which the exit code is 1.")
    ] = 0.05,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished output.")] = False,
    with_features: Annotated[
        bool, typer.Option("--features", help="Write what the decisions were made from beside them, for monitoring.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Score raw applications by the champion, as POST /predict does; a killed run goes on where it was."""
    from creditrisk_serving.batches.champion import load_champion  # noqa: PLC0415
    from creditrisk_serving.batches.job import Batch, score_batch  # noqa: PLC0415
    from creditrisk_serving.decisions.log import DecisionLog  # noqa: PLC0415
    from creditrisk_serving.errors import ServiceError  # noqa: PLC0415
    from creditrisk_serving.settings import ServingSettings  # noqa: PLC0415
    from creditrisk_serving.trust import trusted_key  # noqa: PLC0415

    settings = ServingSettings()
    asked = Batch(source, out, histories, overwrite, with_features)
    log = DecisionLog(settings.decision_log_url, settings.journal_directory, stored="database")
    try:
        with _progress(as_json) as progress:
            outcome = score_batch(
                asked, settings.platform, lambda: load_champion(settings.platform, trusted_key(settings)), log, progress
            )
    except ServiceError as error:
        raise RuntimeError(
            f"{error.detail}; what was scored is kept, and the same command goes on from there"
        ) from error
    finally:
        log.close()
    failed = outcome.rejected_share > max_rejected
    if as_json:
        sys.stdout.write(
            json.dumps({**outcome.manifest, "resumed": outcome.resumed, "failed": failed}, indent=1) + "\n"
        )
    else:
        _print_outcome(asked, outcome)
    if failed:
        raise RuntimeError(
            f"{outcome.rejected_share:.1%} of the applications were rejected, more than --max-rejected {max_rejected:.1%};"
            f" the scores of the others are in {out}, the reasons in {asked.rejected}"
        )


@app.command()
def simulate(
    months: Annotated[list[str], typer.Argument(metavar="MONTH…", help="2026-05, or a range: 2026-01..2026-12.")],
    scenario: Annotated[
        str,
        typer.Option(help="quiet, covariate, prior, concept, missing_feed, unit_change or late_labels."),
    ] = "quiet",
    seed: Annotated[int, typer.Option(help="The same seed draws the same applicants.")] = 42,
    applicants: Annotated[int, typer.Option(help="Of each month.")] = 1_500,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a month drawn otherwise.")] = False,
    as_json: Json = False,
) -> None:
    """Draw production months, score them by the champion, and write their feeds; then `creditrisk backfill MONTH`."""
    from creditrisk_assets.simulation.months import month_scenario, months_between  # noqa: PLC0415
    from creditrisk_serving.batches.months import Asked, simulate_month  # noqa: PLC0415
    from creditrisk_serving.decisions.log import DecisionLog  # noqa: PLC0415
    from creditrisk_serving.settings import ServingSettings  # noqa: PLC0415
    from creditrisk_serving.trust import trusted_key  # noqa: PLC0415

    month_scenario(scenario)
    every = sorted({month for text in months for month in months_between(text)})
    settings = ServingSettings()
    key = trusted_key(settings)
    log = DecisionLog(settings.decision_log_url, settings.journal_directory, stored="database")
    try:
        revealed = []
        for month in every:
            asked = Asked(month, scenario, seed, applicants)
            revealed.append(simulate_month(asked, settings.platform, key, log, overwrite=overwrite))
            if not as_json:
                _print_month(revealed[-1])
    finally:
        log.close()
    if as_json:
        sys.stdout.write(json.dumps([vars(one) for one in revealed], indent=1) + "\n")


@app.command("month-decisions")
def month_decisions(
    month: Annotated[str, typer.Argument(help="2026-05, in UTC.")],
    as_json: Json = False,
) -> None:
    """Write what the service decided in a month as a feed of monitoring; then `creditrisk backfill MONTH`."""
    from dataclasses import asdict  # noqa: PLC0415

    from creditrisk_assets.modelling.bundle import Bundle  # noqa: PLC0415
    from creditrisk_assets.simulation.months import month_number  # noqa: PLC0415
    from creditrisk_serving.decisions.database import reading  # noqa: PLC0415
    from creditrisk_serving.decisions.month import write_month  # noqa: PLC0415
    from creditrisk_serving.settings import ServingSettings  # noqa: PLC0415
    from creditrisk_serving.trust import trusted_signers  # noqa: PLC0415

    month_number(month)
    settings = ServingSettings()
    platform, key = settings.platform, trusted_signers(settings)
    platform.month_files.mkdir(parents=True, exist_ok=True)
    with reading(settings.decision_log_url) as database, _progress(as_json) as progress:
        found = write_month(
            database,
            month,
            platform.month_files,
            lambda version: Bundle.load(platform.bundles / version, key),
            progress=lambda count: progress("writing", count, count),
        )
    if as_json:
        sys.stdout.write(json.dumps(asdict(found), indent=1) + "\n")
        return
    Console(highlight=False).print(
        f"[bold]{found.month}[/] {found.decisions:,} decisions on {found.applicants + found.erased:,} applicants: {found.applicants:,}"
        f" written, {found.erased:,} erased, {found.other_models:,} by another model than most;"
        f" {found.sampled:,} with the raw rows they were decided on, to compute their features again",
        soft_wrap=True,
    )


def _print_month(one: Any) -> None:
    Console(highlight=False).print(
        f"[bold]{one.month}[/] {one.scenario}: {one.scored:,} of {one.applicants:,} scored, {one.approved / max(one.scored, 1):.1%}"
        f" approved; {one.outcomes:,} outcomes known{' (drawn before)' if one.reused else ''}",
        soft_wrap=True,
    )


@app.command("verify-batch")
def verify_scores(
    scores: Annotated[Path, typer.Argument(help="A file that `creditrisk score` or serving/batch_scores wrote.")],
    as_json: Json = False,
) -> None:
    """Compare a file of scores, and what lies beside it, with the decision log; exit code 1 if one is not as recorded."""
    import msgspec  # noqa: PLC0415

    from creditrisk_serving.batches.record import verify_batch  # noqa: PLC0415
    from creditrisk_serving.decisions.checkpoints import read_checkpoints  # noqa: PLC0415
    from creditrisk_serving.decisions.database import reading  # noqa: PLC0415
    from creditrisk_serving.settings import ServingSettings  # noqa: PLC0415
    from creditrisk_serving.trust import trusted_signers  # noqa: PLC0415

    if not scores.is_file():
        raise RuntimeError(f"{scores} is no file; name the scores that were written")
    settings = ServingSettings()
    with reading(settings.decision_log_url) as database:
        found = verify_batch(database, read_checkpoints(settings.checkpoints_file, trusted_signers(settings)), scores)
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        console = Console(highlight=False)
        for finding in found.findings:
            console.print(f"[bold red]✗[/] {finding}", soft_wrap=True)
        if found.record is not None:
            console.print(
                f"batch {found.record.batch_id} of {found.record.decided_at}: {found.record.scored} scored, {found.record.rejected}"
                f" rejected, model {found.record.model_version}: {f'{len(found.findings)} findings' if found.findings else 'as recorded'}",
                soft_wrap=True,
            )
    if found.findings:
        raise typer.Exit(1)


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    columns = (
        TextColumn("  {task.description:<12}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as progress:
        tasks: dict[str, TaskID] = {}

        def show(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = progress.add_task(step, total=total)
            progress.update(tasks[step], completed=done, total=total)

        yield show


def _print_outcome(asked: Any, outcome: Any) -> None:
    console, made = Console(highlight=False), outcome.manifest
    if outcome.anew_because:
        console.print(f"started anew: {outcome.anew_because}", soft_wrap=True)
    elif outcome.resumed:
        console.print("went on from the run before")
    console.print(
        f"[bold]{made['scored']:,}[/] of {made['applications']:,} applications scored: {_listed(made['decisions'])}",
        soft_wrap=True,
    )
    console.print(
        f"  histories of {made['features_from_input']:,} in the input, of {made['features_looked_up']:,} looked up",
        soft_wrap=True,
    )
    if made["rejected"]:
        console.print(
            f"[bold yellow]{made['rejected']:,} rejected[/] ({outcome.rejected_share:.2%}), see {asked.rejected}:",
            soft_wrap=True,
        )
        for rule, rows in sorted(made["rejected_rows"].items(), key=lambda item: -item[1])[:SHOWN]:
            console.print(f"  {rows:>10,}  {rule}", soft_wrap=True)
    console.print(
        f"  model {made['model_version']}, policy {made['policy_version']}, batch {made['batch_id']}", soft_wrap=True
    )
    console.print(f"  {asked.out}, {asked.manifest}", soft_wrap=True)


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
