"""The commands `creditrisk keys …`: who may call the scoring API.

What belongs here: options, what is printed. What does not: keys and their file (`access`).
"""

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from creditrisk_serving.access import MEANINGS, Key, Rate, Scope, create_key, read_keys, revoke_key, rotate_key
from creditrisk_serving.settings import ServingSettings

GRACE = timedelta(hours=1)
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

app = typer.Typer(no_args_is_help=True, help="Who may call the scoring API: make, list, replace and revoke API keys.")


def duration(text: str) -> timedelta:
    """Read a duration: a whole number of s, m, h or d."""
    if not (found := re.fullmatch(r"(\d{1,5})([smhd])", text)):
        raise typer.BadParameter("a duration is a whole number of s, m, h or d, for example 90d")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def rate_of(text: str) -> Rate:
    """Read a rate: a whole number per s, m, h or d."""
    try:
        return Rate.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Name = Annotated[str, typer.Argument(help="Told in logs and kept with decisions: letters, digits, `._-`.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text.")]
Lifetime = Annotated[
    timedelta | None, typer.Option("--expires", parser=duration, metavar="DURATION", help="How long it is valid: 90d.")
]
Scopes = Annotated[
    list[Scope],
    typer.Option(
        "--scope",
        help="What it is for; may be given again. " + "; ".join(f"{s.value}: {text}" for s, text in MEANINGS.items()),
    ),
]
Limit = Annotated[
    Rate | None,
    typer.Option(
        "--rate", parser=rate_of, metavar="RATE", help="Applicants it may ask for: 100/s; default: RATE_LIMIT."
    ),
]
Grace = Annotated[
    timedelta | None,
    typer.Option(
        parser=duration,
        metavar="DURATION",
        show_default="1h",
        help="How long the old key stays valid; 0s for one that became known.",
    ),
]


@app.command("create")
def create(name: Name, scopes: Scopes, expires: Lifetime = None, rate: Limit = None, as_json: Json = False) -> None:
    """Make a key and show it, this once; a running service knows it at the next request."""
    path = ServingSettings().api_keys_file
    secret = create_key(path, name, scopes=scopes, lifetime=expires, rate=rate)
    _show(name, secret, as_json)


@app.command("list")
def list_keys(as_json: Json = False) -> None:
    """List what is known of the keys; what opens the service is kept nowhere."""
    path = ServingSettings().api_keys_file
    keys = [_described(key) for key in (read_keys(path) if path.exists() else [])]
    if as_json:
        sys.stdout.write(json.dumps(keys, indent=1) + "\n")
        return
    table = Table("name", "scopes", "rate", "made (UTC)", "ends (UTC)", "state")
    for key in keys:
        scopes, (made, ends) = ", ".join(key["scopes"]), (key["created_at"], key["revoked_at"] or key["expires_at"])
        table.add_row(key["name"], scopes, key["rate"] or "as set", _day(made), _day(ends), key["state"])
    Console(highlight=False).print(table if keys else f"no keys in {path}; `creditrisk keys create` makes one")


@app.command("revoke")
def revoke(name: Name) -> None:
    """Have a key open nothing from the next request on; its name stays taken: decisions are kept under it."""
    revoke_key(ServingSettings().api_keys_file, name)
    Console(highlight=False).print(f"revoked: {name}")


@app.command("rotate")
def rotate(name: Name, grace: Grace = None, expires: Lifetime = None, as_json: Json = False) -> None:
    """Make a new key in place of one, with its name, scopes, rate and lifetime, and show it, this once."""
    path = ServingSettings().api_keys_file
    secret = rotate_key(path, name, grace=GRACE if grace is None else grace, lifetime=expires)
    _show(name, secret, as_json)


def _show(name: str, secret: str, as_json: bool) -> None:
    *_, made = (_described(key) for key in read_keys(ServingSettings().api_keys_file) if key.id == name)
    if as_json:
        sys.stdout.write(json.dumps({"key": secret, **made}, indent=1) + "\n")
        return
    console = Console(highlight=False)
    console.print(f"API key {name} (shown this once, kept hashed):\n  [bold]{secret}[/]", soft_wrap=True)
    ends = f", until {made['expires_at']}" if made["expires_at"] else ""
    console.print(f"  for: {', '.join(made['scopes'])}{ends}", soft_wrap=True)


def _described(key: Key) -> dict[str, Any]:
    """Describe a key without its hash."""
    over = key.ends_at is not None and key.ends_at <= datetime.now(UTC)
    return {
        "name": key.id,
        "scopes": [str(scope) for scope in ((Scope.ADMIN,) if key.scopes is None else key.scopes)],
        "rate": key.rate,
        "created_at": _in_utc(key.created_at),
        "expires_at": _in_utc(key.expires_at),
        "revoked_at": _in_utc(key.revoked_at),
        "state": "revoked" if key.revoked_at else "expired" if over else "valid",
    }


def _in_utc(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="seconds")


def _day(moment: str | None) -> str:
    return "-" if moment is None else moment[:16].replace("T", " ")
