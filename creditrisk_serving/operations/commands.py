"""The commands of people who run the platform: they join by the entry point group `creditrisk.commands`.

What belongs here: options, what is printed. What does not: the work (`migration`, `backup`). Everything heavy is imported inside a command.
"""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from creditrisk_serving.settings import ServingSettings

app = typer.Typer(no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text.")]


@app.callback()
def commands() -> None:
    """Run the platform."""


@app.command()
def migrate(
    to: Annotated[
        str | None,
        typer.Option(help="A revision of one database (decision_log_0001); none: what this release reads, for all."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Bring decision log, online store, alerts and ledger to this release's schema; stop what uses them first."""
    from creditrisk_serving.operations.databases import own_databases  # noqa: PLC0415
    from creditrisk_serving.operations.migration import migrate as bring  # noqa: PLC0415

    databases = own_databases(ServingSettings())
    chosen = [one for one in databases if to is None or to.startswith(f"{one.schema.name}_")]
    if not chosen:
        raise ValueError(
            f"no database has a revision {to}; they begin with {', '.join(d.schema.name for d in databases)}"
        )
    done = {one.schema.name: bring(one, to) for one in chosen}
    if as_json:
        sys.stdout.write(
            json.dumps({name: {"before": a, "after": b} for name, (a, b) in done.items()}, indent=1) + "\n"
        )
        return
    for name, (before, after) in done.items():
        words = (
            "not there yet" if after is None else after if before == after else f"{before or 'no version'} -> {after}"
        )
        Console(highlight=False).print(f"  {name:<13} {words}")


@app.command("replace-signing-key")
def replace_signing_key(
    trust_old_until: Annotated[
        datetime,
        typer.Option(
            formats=["%Y-%m-%d"],
            help="Last day on which bundles of the old key are taken; today for one that became known.",
        ),
    ],
    as_json: Json = False,
) -> None:
    """Sign bundles and checkpoints with another key: CREDITRISK_SIGNING_KEY, set to the new one before, or one that is made here."""
    from base64 import b64encode  # noqa: PLC0415

    from creditrisk_assets.modelling import signing  # noqa: PLC0415
    from creditrisk_assets.modelling.bundle import PUBLIC_KEY_FILE  # noqa: PLC0415

    settings = ServingSettings().platform
    until = trust_old_until.date()
    old, new = (
        b64encode(key).decode() for key in signing.replace_signing_key(settings.keys, settings.signing_key, until)
    )
    file = settings.keys / PUBLIC_KEY_FILE
    if as_json:
        sys.stdout.write(json.dumps({"old": old, "new": new, "until": until.isoformat(), "file": str(file)}) + "\n")
        return
    typer.echo(f"signs from now on: {new}")
    typer.echo(f"bundles it signed are taken until {until}: {old}")
    typer.echo(
        f"copy {file} to every service that names it (CREDITRISK_SERVING_BUNDLE_PUBLIC_KEY), then `creditrisk checkpoint-log`"
    )


@app.command()
def backup(
    out: Annotated[Path, typer.Argument(help="Directory to make; it will hold personal data.")],
    with_keys: Annotated[
        bool, typer.Option("--with-keys", help="Private keys and hashed API keys too: then whoever has it can sign.")
    ] = False,
    without_tables: Annotated[
        bool, typer.Option("--without-tables", help="Leave out the lake's tables; the next run makes them anew.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Copy the home directory and its databases as they are at one moment, while everything runs."""
    from creditrisk_serving.operations.backup import make_backup  # noqa: PLC0415

    made = make_backup(ServingSettings(), out, with_keys=with_keys, with_tables=not without_tables)
    size = sum((out / name).stat().st_size for name in made.files)
    if as_json:
        summary = {
            "out": str(out),
            "files": len(made.files),
            "bytes": size,
            "keys": made.keys,
            "left_out": made.left_out,
        }
        sys.stdout.write(json.dumps(summary, indent=1) + "\n")
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"{len(made.files)} files, {size / 2**20:,.0f} MB in {out}; put it back with `creditrisk restore {out}`"
    )
    console.print("  private keys are in it" if made.keys else "  private keys are not in it: keep them apart")
    for words in made.left_out:
        console.print(f"  [bold]not in it[/] {words}")


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(metavar="FROM", help="What `creditrisk backup` made.")],
    as_json: Json = False,
) -> None:
    """Put a backup into an empty CREDITRISK_HOME: verify its files, then the decision log; exit code 1 if that does not hold."""
    from creditrisk_serving.operations.restore import restore_backup  # noqa: PLC0415

    settings = ServingSettings()
    found = restore_backup(settings, source)
    if as_json:
        sys.stdout.write(
            json.dumps(
                {"home": str(settings.platform.root), "records": found.records, "findings": found.findings}, indent=1
            )
            + "\n"
        )
    else:
        console = Console(highlight=False, soft_wrap=True)
        for words in found.findings:
            console.print(f"  [bold]differs[/] {words}")
        log = f"{found.records} records in {found.chains} chains"
        console.print(f"restored to {settings.platform.root}: {log}, {len(found.findings)} findings")
    if found.findings:
        raise typer.Exit(1)
