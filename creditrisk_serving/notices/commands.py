"""The commands of notices: they join by the entry point group `creditrisk.commands`.

What belongs here: options, what is printed. What does not: any logic (`service`). Everything heavy is imported inside a command.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from creditrisk_serving.decisions.log import DecisionLog
    from creditrisk_serving.settings import ServingSettings

CALLER = "command-line"
app = typer.Typer(no_args_is_help=True)
notices = typer.Typer(no_args_is_help=True, help="Notices of adverse action: which applicants were not told yet.")
app.add_typer(notices, name="notices")


@app.callback()
def commands() -> None:
    """Tell applicants why they are not approved."""


@app.command()
def notice(
    decision_id: Annotated[str, typer.Argument(help="A decline, or a referral that a person declined.")],
    out: Annotated[Path, typer.Option(help="File to write, .html or .pdf.")],
) -> None:
    """Issue the notice of a decision, or read the one that was issued, and write it to a file."""
    from creditrisk_serving.notices.service import as_pdf, issue  # noqa: PLC0415

    if out.suffix not in {".html", ".pdf"}:
        raise RuntimeError(f"{out}: a notice is written as .html or .pdf")
    with _log() as (log, settings):
        found = issue(log, settings, decision_id, request_id=CALLER, caller=CALLER)
        document = str(found.document)
        content = as_pdf(document, found.issued_at, settings) if out.suffix == ".pdf" else document.encode()
    out.write_bytes(content)
    Console(highlight=False).print(
        f"notice {found.notice_id} of {found.issued_at}, due by {found.due_by}: {out}", soft_wrap=True
    )


@notices.command("due")
def due_notices(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text.")] = False,
) -> None:
    """List declines without a notice and the days that are left of 30; exit code 1 if one is too late."""
    from datetime import UTC, datetime  # noqa: PLC0415

    from creditrisk_serving.notices.service import due  # noqa: PLC0415

    with _log() as (log, _):
        found = due(log, datetime.now(UTC).date())
    if as_json:
        sys.stdout.write(json.dumps([one._asdict() for one in found], indent=1) + "\n")
    else:
        console = Console(highlight=False)
        for one in found:
            left = (
                f"{one.days_left} days left" if one.days_left >= 0 else f"[bold red]{-one.days_left} days too late[/]"
            )
            console.print(f"{one.decision_id}  due by {one.due_by}  {left}", soft_wrap=True)
        console.print(f"{len(found)} notices are due")
    if any(one.days_left < 0 for one in found):
        raise typer.Exit(1)


@notices.command("batch")
def batch_notices(
    scores: Annotated[
        Path, typer.Argument(help="A file `creditrisk score --features` wrote, or the table of serving/batch_scores.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text.")] = False,
) -> None:
    """Issue the notices of all declined applicants of a batch; `creditrisk notice BATCH_ID-SK_ID_CURR` then writes one to a file."""
    from creditrisk_assets.modelling.bundle import BundleError  # noqa: PLC0415
    from creditrisk_serving.batches.notices import issue_batch  # noqa: PLC0415
    from creditrisk_serving.decisions.checkpoints import read_checkpoints  # noqa: PLC0415
    from creditrisk_serving.trust import trusted_signers  # noqa: PLC0415

    if not scores.is_file():
        raise RuntimeError(f"{scores} is no file; name the scores that were written")
    with _log() as (log, settings):
        signers = trusted_signers(settings)
        try:
            found = issue_batch(
                log, settings, read_checkpoints(settings.checkpoints_file, signers), scores, signers, caller=CALLER
            )
        except BundleError as error:
            raise RuntimeError(f"{error}; no notice was issued") from error
    if as_json:
        sys.stdout.write(json.dumps(vars(found), indent=1) + "\n")
        return
    Console(highlight=False).print(
        f"batch {found.batch_id}: {found.issued} notices issued for {found.declined} declined applicants"
        f" ({found.before} had one, {found.erased} were erased){f', due by {found.due_by}' if found.due_by else ''}",
        soft_wrap=True,
    )


@contextmanager
def _log() -> "Iterator[tuple[DecisionLog, ServingSettings]]":
    """Open the decision log; a refusal becomes the command's one line."""
    from creditrisk_serving.decisions.log import DecisionLog  # noqa: PLC0415
    from creditrisk_serving.errors import ServiceError  # noqa: PLC0415
    from creditrisk_serving.settings import ServingSettings  # noqa: PLC0415

    settings = ServingSettings()
    log = DecisionLog(settings.decision_log_url, settings.journal_directory, stored="database")
    log.start()
    try:
        yield log, settings
    except ServiceError as error:
        raise RuntimeError(error.detail) from error
    finally:
        log.close()
