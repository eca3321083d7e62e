"""The `creditrisk` command: thin calls. Other packages' commands join by the entry point group `creditrisk.commands`."""

import json
import sys
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
        Path | None, typer.Option(help="Directory of raw tables (CSV, .gz, .zip or Parquet); remembered.")
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
def ui(
    host: Annotated[
        str, typer.Option(help="The webserver has no authentication: keep it on this machine.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option()] = 3000,
) -> None:
    """Open the Dagster UI with its daemon on both code locations."""
    from creditrisk_assets import terminal  # noqa: PLC0415

    raise typer.Exit(terminal.serve_ui(Settings(), host, port))


def main() -> None:
    """Run the command; an expected error is one line and exit code 1."""
    for entry in sorted(entry_points(group=COMMANDS), key=lambda entry: entry.name):
        app.registered_commands += entry.load().registered_commands
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


def _fail(message: str) -> None:
    Console(stderr=True).print(f"[bold red]error:[/] {escape(message)}", highlight=False, soft_wrap=True)
    sys.exit(1)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()
