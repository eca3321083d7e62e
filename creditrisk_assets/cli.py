"""The `creditrisk` command: thin calls. Other packages' commands join by the entry point group `creditrisk.commands`."""

import json
import sys
from datetime import datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any

import pydantic
import typer
from rich.console import Console
from rich.markup import escape

from creditrisk_assets.settings import Settings

COMMANDS = "creditrisk.commands"

app = typer.Typer(
    name="creditrisk",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A governed probability-of-default platform: raw lending tables to a served, auditable score.",
)
quarantine = typer.Typer(no_args_is_help=True, help="Rows kept from being published: see, correct and replay them.")
app.add_typer(quarantine, name="quarantine")
alerts = typer.Typer(
    no_args_is_help=True, help="What went wrong and who was told: see it, take care of it, silence it."
)
app.add_typer(alerts, name="alerts")
approver = typer.Typer(no_args_is_help=True, help="Who may approve a model version, each with a key of their own.")
app.add_typer(approver, name="approver")
features = typer.Typer(no_args_is_help=True, help="What features there are, and all that is known of one.")
app.add_typer(features, name="features")
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text.")]


@app.command()
def sample(
    out: Annotated[Path | None, typer.Option(help="Directory to write to; default: below the home directory.")] = None,
    scale: Annotated[float, typer.Option(help="1 is 356,255 applicants and 58.4 million rows.")] = 0.05,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 42,
    scenario: Annotated[str, typer.Option(help="Which portfolio.")] = "baseline",
    as_json: Json = False,
) -> None:
    """Write a synthetic portfolio as Kaggle-shaped CSV files."""
    from creditrisk_assets.ingestion.sources import sample_directory  # noqa: PLC0415
    from creditrisk_assets.terminal import write_sample  # noqa: PLC0415

    target = out or sample_directory(Settings(), scale)
    summary = write_sample(target, scale=scale, seed=seed, scenario=scenario, quiet=as_json)
    if as_json:
        _print_json(summary)


@app.command()
def run(
    source: Annotated[
        str | None,
        typer.Option(
            help="Raw tables: a directory, a sources file (.yaml) or an address (s3://, https://, …); remembered."
        ),
    ] = None,
    scale: Annotated[
        float | None, typer.Option(help="Use the sample portfolio of this scale, made first if needed.")
    ] = None,
    select: Annotated[str, typer.Option(help="Asset keys, separated by commas, or a Dagster selection.")] = "*",
    as_json: Json = False,
) -> None:
    """Materialize the graph: raw tables to a registered model and batch scores."""
    from creditrisk_assets import terminal  # noqa: PLC0415

    settings = Settings()
    chosen = terminal.choose_source(settings, source, scale, quiet=as_json)
    result, summary = terminal.run_graph(settings, chosen, select, quiet=as_json)
    if as_json:
        _print_json(summary)
    if not result.succeeded:
        raise typer.Exit(1)


@app.command()
def research(as_json: Json = False) -> None:
    """Try what stands beside the model in use: challengers and rebalancing. Hours at full size; a killed run goes on."""
    from creditrisk_assets import terminal  # noqa: PLC0415

    result, summary = terminal.run_research(Settings(), quiet=as_json)
    if as_json:
        _print_json(summary)
    if not result.succeeded:
        raise typer.Exit(1)


@app.command()
def backfill(
    months: Annotated[list[str], typer.Argument(metavar="MONTH…", help="2026-05, or a range: 2026-01..2026-12.")],
    as_json: Json = False,
) -> None:
    """Take in production months: outcomes, decided applications, drift; then performance and the monthly report."""
    from creditrisk_assets import terminal  # noqa: PLC0415
    from creditrisk_assets.simulation.months import months_between  # noqa: PLC0415

    every = sorted({month for text in months for month in months_between(text)})
    result, summary = terminal.run_backfill(Settings(), every, quiet=as_json)
    if as_json:
        _print_json(summary)
    if not result.succeeded:
        raise typer.Exit(1)


@app.command()
def freshness(
    fail_on_stale: Annotated[
        bool, typer.Option("--fail-on-stale", help="Exit with 1 when a feed is stale or missing (for CI).")
    ] = False,
    as_json: Json = False,
) -> None:
    """Look at every feed and show how old its data are; writes reports/data_freshness.json."""
    from creditrisk_assets import diagnosis  # noqa: PLC0415

    report = diagnosis.feed_freshness(Settings())
    _print_json(report) if as_json else diagnosis.print_freshness(report)
    if fail_on_stale and report["state"] in {"stale", "missing"}:
        raise typer.Exit(1)


@app.command()
def status(as_json: Json = False) -> None:
    """Show the champion, the last versions, what is stale, and disk use."""
    from creditrisk_assets import diagnosis  # noqa: PLC0415

    found = diagnosis.status(Settings())
    _print_json(found) if as_json else diagnosis.print_status(found)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check everything the platform depends on and say what to do about what is missing."""
    from creditrisk_assets import diagnosis  # noqa: PLC0415

    findings = diagnosis.examine(Settings())
    _print_json(findings) if as_json else diagnosis.print_findings(findings)
    if any(finding["state"] == "bad" for finding in findings):
        raise typer.Exit(1)


@app.command()
def governance(
    verify: Annotated[
        bool, typer.Option("--verify", help="Take every number again from its artefact; exit with 1 when one differs.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show how complete the governance file is, or whether anybody edited it."""
    from creditrisk_assets import governing  # noqa: PLC0415

    if not verify:
        meter = governing.completeness(Settings())
        _print_json(meter) if as_json else governing.print_completeness(meter)
        return
    found = governing.verification(Settings())
    _print_json(found) if as_json else governing.print_verification(found)
    if found["differences"]:
        raise typer.Exit(1)


@app.command()
def ui(
    host: Annotated[
        str, typer.Option(help="The webserver has no authentication: keep it on this machine.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option()] = 3000,
) -> None:
    """Open the Dagster UI with its daemon on both code locations."""
    from creditrisk_assets import terminal  # noqa: PLC0415

    raise typer.Exit(terminal.serve_ui(Settings(), host, port))


@quarantine.command("list")
def quarantine_list(
    table: Annotated[str | None, typer.Argument(help="A raw table (bureau); none: every one.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="CSV to write the table's quarantined rows to, to be corrected.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show which rows are in quarantine, by batch and rule, and how much of the budget they use."""
    from creditrisk_assets import quarantining  # noqa: PLC0415

    found = quarantining.listing(Settings(), table, out)
    _print_json(found) if as_json else quarantining.print_listing(found)


@quarantine.command("replay")
def quarantine_replay(
    table: Annotated[str, typer.Argument(help="A raw table (bureau).")],
    corrected: Annotated[
        Path | None,
        typer.Option(help="CSV of corrected rows, as `quarantine list --out` writes it; with --by and --reason."),
    ] = None,
    by: Annotated[str, typer.Option(help="Who corrected the rows.")] = "",
    reason: Annotated[str, typer.Option(help="Why they may stand in the place of the rows delivered.")] = "",
    as_json: Json = False,
) -> None:
    """Make a table anew under the present rules, relaxations and corrections, and say which rows were released."""
    from creditrisk_assets import quarantining  # noqa: PLC0415

    answer = quarantining.make_anew(Settings(), table, corrected, by=by, reason=reason, quiet=as_json)
    _print_json(answer) if as_json else quarantining.print_answer(answer)
    if not answer["succeeded"]:
        raise typer.Exit(1)


@alerts.command("list")
def alerts_list(
    resolved: Annotated[bool, typer.Option("--all", help="The last resolved ones too.")] = False,
    as_json: Json = False,
) -> None:
    """Show open alerts, mutes in force, and messages that could not be delivered yet."""
    from creditrisk_assets import alerting  # noqa: PLC0415

    found = alerting.listing(Settings(), resolved=resolved)
    _print_json(found) if as_json else alerting.print_listing(found)


@alerts.command("show")
def alerts_show(alert_id: Annotated[int, typer.Argument(help="As `list` shows it.")], as_json: Json = False) -> None:
    """Tell all that is known of an alert: cause, what else suffers, last good version, what happened to it."""
    from creditrisk_assets import alerting  # noqa: PLC0415

    found = alerting.story(Settings(), alert_id)
    _print_json(found) if as_json else alerting.print_story(found)


@alerts.command("ack")
def alerts_ack(
    alert_id: Annotated[int, typer.Argument(help="As `list` shows it.")],
    by: Annotated[str, typer.Option(help="Who takes care of it.")],
    reason: Annotated[str, typer.Option(help="What is known of it.")] = "",
) -> None:
    """Take care of an alert: it is neither escalated nor reminded of any more."""
    from creditrisk_assets import alerting  # noqa: PLC0415

    typer.echo(alerting.acknowledge(Settings(), alert_id, by, reason))


@alerts.command("mute")
def alerts_mute(
    pattern: Annotated[str, typer.Argument(help="A fingerprint, or a pattern of some: `check:raw/*`.")],
    by: Annotated[str, typer.Option(help="Who does not want to hear of it.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    until: Annotated[datetime | None, typer.Option(help="End, in UTC.")] = None,
    span: Annotated[str | None, typer.Option("--for", help="How long: 90m, 4h, 2d.")] = None,
) -> None:
    """Keep alerts from being told for a while; they are still stored and shown, and told when the mute ends."""
    from creditrisk_assets import alerting  # noqa: PLC0415

    typer.echo(alerting.mute(Settings(), pattern, until=until, span=span, by=by, reason=reason))


@alerts.command("unmute")
def alerts_unmute(pattern: Annotated[str, typer.Argument(help="As it was muted.")]) -> None:
    """End the mutes of a pattern."""
    from creditrisk_assets import alerting  # noqa: PLC0415

    typer.echo(alerting.unmute(Settings(), pattern))


@alerts.command("watch")
def alerts_watch(
    once: Annotated[bool, typer.Option("--once", help="Look once and return (for cron).")] = False,
) -> None:
    """Watch the Dagster daemon from outside (`creditrisk ui` does so itself), and deliver what is due."""
    from creditrisk_assets import alerting  # noqa: PLC0415

    alerting.watch(Settings(), once=once)


@features.command("list")
def features_list(
    pattern: Annotated[
        str | None,
        typer.Argument(
            help="Part of a name or description (late), or a pattern of names ('bureau__*_365d'); none: all."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show which features there are."""
    from creditrisk_assets import exploring  # noqa: PLC0415

    found = exploring.listing(pattern)
    _print_json(found) if as_json else exploring.print_listing(found)


@features.command("describe")
def features_describe(name: Annotated[str, typer.Argument(help="As `list` shows it.")], as_json: Json = False) -> None:
    """Tell all that is known of a feature: definition, SQL, raw columns, distribution, drift, importance in the champion."""
    from creditrisk_assets import exploring  # noqa: PLC0415

    found = exploring.describe(Settings(), name)
    _print_json(found) if as_json else exploring.print_description(found)


@app.command()
def ledger(
    at: Annotated[datetime | None, typer.Option(help="What was champion at this moment, in UTC.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Find every entry that is not as it was written.")] = False,
    as_json: Json = False,
) -> None:
    """Tell what was champion when, who approved it and on what evidence."""
    from creditrisk_assets import promoting  # noqa: PLC0415

    found = promoting.ledger(Settings(), at, verify=verify)
    _print_json(found) if as_json else promoting.print_ledger(found)
    if verify and found["verification"] and found["verification"]["findings"]:
        raise typer.Exit(1)


@approver.command("create")
def approver_create(
    name: Annotated[str, typer.Argument(help="Who.")],
    out: Annotated[
        Path | None, typer.Option(help="File of the private key; default: below ~/.config/creditrisk.")
    ] = None,
) -> None:
    """Make a key for an approver; the ledger knows its public half."""
    from creditrisk_assets import promoting  # noqa: PLC0415

    typer.echo(promoting.create_approver(Settings(), name, out))


@approver.command("list")
def approver_list(as_json: Json = False) -> None:
    """Show who may approve."""
    from creditrisk_assets import promoting  # noqa: PLC0415

    found = promoting.list_approvers(Settings())
    _print_json(found) if as_json else typer.echo("\n".join(found) or "nobody")


@approver.command("revoke")
def approver_revoke(
    name: Annotated[str, typer.Argument(help="Who.")], reason: Annotated[str, typer.Option(help="Why.")]
) -> None:
    """End the key of an approver, and all it signed."""
    from creditrisk_assets import promoting  # noqa: PLC0415

    typer.echo(promoting.revoke_approver(Settings(), name, reason))


@app.command()
def approve(
    version: Annotated[str, typer.Argument(help="Number in the registry, model version, or alias (candidate).")],
    key: Annotated[Path, typer.Option(help="Your private key.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    expires_days: Annotated[float, typer.Option(help="How long it holds.")] = 14,
    token: Annotated[
        bool, typer.Option("--token", help="Print the signature for the job approve_version, and keep nothing.")
    ] = False,
    reject: Annotated[bool, typer.Option("--reject", help="Stop the version instead.")] = False,
    as_json: Json = False,
) -> None:
    """Sign a version and the evidence there is now with your own key."""
    from creditrisk_assets import promoting  # noqa: PLC0415

    settings = Settings()
    signed = promoting.sign(settings, version, key, reason=reason, days=expires_days, reject=reject)
    if token:
        typer.echo(signed)
        return
    found = promoting.approve(settings, signed)
    words = "; ".join(found["missing"]) or "nothing is missing: `creditrisk promote` makes it champion"
    _print_json(found) if as_json else typer.echo(f"ledger entry {found['entry']['sequence']}; {words}")


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="Number in the registry, model version, or alias (candidate).")],
    reason: Annotated[str, typer.Option(help="Why.")],
    to: Annotated[str, typer.Option(help="The alias: champion (Production), challenger or shadow.")] = "champion",
    approver_: Annotated[
        str | None, typer.Option("--approver", help="Who asks for it; approvals are signatures (`creditrisk approve`).")
    ] = None,
    override: Annotated[
        list[str] | None, typer.Option(help="Evidence whose objections are set aside, on record: comparison.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a version the champion, on every replica or not at all; or name it challenger or shadow."""
    from creditrisk_assets import promoting  # noqa: PLC0415

    settings = Settings()
    entry = promoting.give_alias(settings, version, to, identity=approver_, reason=reason, override=override or ())
    _print_json(entry.to_dict()) if as_json else typer.echo(promoting.changed_words(settings, entry))


@app.command()
def withdraw(
    alias: Annotated[str, typer.Argument(help="The alias: challenger or shadow.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    by: Annotated[str | None, typer.Option(help="Who asks for it; default: you.")] = None,
    as_json: Json = False,
) -> None:
    """Take the name challenger or shadow back; the services stop scoring by a shadow."""
    from creditrisk_assets import promoting  # noqa: PLC0415

    settings = Settings()
    entry = promoting.take_name(settings, alias, identity=by, reason=reason)
    _print_json(entry.to_dict()) if as_json else typer.echo(promoting.changed_words(settings, entry))


@app.command()
def rollback(
    reason: Annotated[str, typer.Option(help="Why.")],
    by: Annotated[str | None, typer.Option(help="Who asks for it; default: you.")] = None,
    as_json: Json = False,
) -> None:
    """Make the champion before the present one the champion again."""
    from creditrisk_assets import promoting  # noqa: PLC0415

    settings = Settings()
    entry = promoting.go_back(settings, identity=by, reason=reason)
    _print_json(entry.to_dict()) if as_json else typer.echo(promoting.changed_words(settings, entry))


@app.command()
def shell(
    sql: Annotated[str | None, typer.Option(help="One query, printed as a table; none: open the shell.")] = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
) -> None:
    """Open the lake in the DuckDB shell, read only: every published table as layer.name, `features.applicant`."""
    from creditrisk_assets import shell  # noqa: PLC0415

    if sql is None and (as_json or as_csv):
        raise ValueError("--json and --csv are for one query; give it with --sql")
    if as_json and as_csv:
        raise ValueError("give --json or --csv, not both")
    if sql is None:
        shell.open_shell(Settings())
    else:
        shell.query(Settings(), sql, "json" if as_json else "csv" if as_csv else "table")


def main() -> None:
    """Run the command; an expected error is one line and exit code 1."""
    for entry in sorted(entry_points(group=COMMANDS), key=lambda entry: entry.name):
        joining = entry.load()
        app.registered_commands += joining.registered_commands
        app.registered_groups += joining.registered_groups
    try:
        app()
    except pydantic.ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc']))} {e['msg']}".strip() for e in error.errors(include_input=False)
        )
        _fail(f"settings: {problems}")
    except (RuntimeError, ValueError, OSError) as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _fail("interrupted; what was published stays, and the next run goes on from there")
    except Exception as error:
        if (words := _database_words(error)) is None:
            raise
        _fail(words)


def _database_words(error: Exception) -> str | None:
    """Say in one line what a database complains of, without its statement or its values; None: the error is not a database's."""
    import duckdb  # noqa: PLC0415
    import sqlalchemy.exc  # noqa: PLC0415

    if isinstance(error, sqlalchemy.exc.DBAPIError):
        return f"the database refused: {error.orig}; is the disk full, the file readable, the server up?"
    if isinstance(error, duckdb.IOException | duckdb.OutOfMemoryException):  # others may quote a value
        return f"DuckDB could not go on: {str(error).splitlines()[0]}"
    return None


def _fail(message: str) -> None:
    Console(stderr=True).print(f"[bold red]error:[/] {escape(message)}", highlight=False, soft_wrap=True)
    sys.exit(1)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()
