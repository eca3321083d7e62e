"""The deployment commands of `creditrisk`: they join by the entry point group `creditrisk.commands`.

What belongs here: options, what is printed. What does not: what is done (`ecs`, `sagemaker`, the asset `serving/deployment`).
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from creditrisk_serving.settings import ServingSettings

app = typer.Typer(no_args_is_help=True)


@app.callback()
def commands() -> None:
    """Bring the service to where it runs."""


@app.command()
def deploy(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text.")] = False,
) -> None:
    """Release the image of CREDITRISK_SERVING_DEPLOY_IMAGE, verify it where callers reach it, roll it back otherwise; exit code 1 then."""
    from creditrisk_assets.running import materialize  # noqa: PLC0415
    from creditrisk_serving.defs.deployment import KEY, headline  # noqa: PLC0415

    settings = ServingSettings()
    result = materialize(settings.platform, KEY)
    words = "; ".join(result.failures) or headline(settings.platform)
    if as_json:
        sys.stdout.write(json.dumps({"succeeded": result.succeeded, "words": words}) + "\n")
    else:
        typer.echo(words)
    if not result.succeeded:
        raise typer.Exit(1)


@app.command("package-sagemaker")
def package_sagemaker(
    out: Annotated[Path, typer.Option(help="Directory to write model.tar.gz to.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text.")] = False,
) -> None:
    """Write the package SageMaker starts the service from, and the environment its container needs."""
    from creditrisk_serving.deployment.sagemaker import ENVIRONMENT, package  # noqa: PLC0415
    from creditrisk_serving.trust import trusted_key  # noqa: PLC0415

    settings = ServingSettings()
    written = package(settings, trusted_key(settings), out)
    if as_json:
        sys.stdout.write(json.dumps({"package": str(written), "environment": ENVIRONMENT}, indent=1) + "\n")
        return
    typer.echo(f"{written}; the container needs:")
    for name, value in ENVIRONMENT.items():
        typer.echo(f"  {name}={value}")
