"""What the alerts file says: channels, who hears of what, escalation, reminders.

What belongs here: the file's models and reading it. What does not: sending (`delivery`), planning (`routing`). No secret stands in the
file: webhook addresses and the SMTP login are settings (`CREDITRISK_…`), AWS credentials are the AWS chain's.
"""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from creditrisk_assets.monitoring.conditions import Condition, Kind, Severity

LOG, JOURNAL, WEBHOOK = "log", "journal", "webhook"  # names of the channels there are without a file

Hours = Annotated[float, Field(gt=0)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=64)]


class AlertsFileError(ValueError):
    """The alerts file is wrong; the message names the entry and what to change."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class LogChannel(_Model):
    """The log of the process that notices."""

    kind: Literal["log"]


class FileChannel(_Model):
    """JSON lines in a file; a relative path lies below the home directory."""

    kind: Literal["file"]
    path: Path = Path("alerts.jsonl")


class WebhookChannel(_Model):
    """A Slack-shaped webhook; its address is CREDITRISK_ALERT_WEBHOOKS[name], else CREDITRISK_ALERT_WEBHOOK."""

    kind: Literal["webhook"]


class EmailChannel(_Model):
    """Mail by SMTP; the login is CREDITRISK_SMTP_USER and CREDITRISK_SMTP_PASSWORD."""

    kind: Literal["email"]
    host: str = Field(min_length=1)
    port: int = Field(587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    sender: str = Field(pattern=r"^[^@\s]+@[^@\s]+$")
    recipients: tuple[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")], ...] = Field(min_length=1)


class SnsChannel(_Model):
    """An AWS SNS topic."""

    kind: Literal["sns"]
    topic_arn: str = Field(pattern=r"^arn:[\w-]+:sns:[\w-]+:\d+:[\w.-]+$")
    endpoint_url: str | None = Field(None, pattern=r"^https?://")


Channel = Annotated[LogChannel | FileChannel | WebhookChannel | EmailChannel | SnsChannel, Field(discriminator="kind")]


_PLAIN: Mapping[str, Channel] = {LOG: LogChannel(kind="log"), JOURNAL: FileChannel(kind="file")}


class Route(_Model):
    """Who hears of an alert: every route that fits adds its channels. What is not named fits all."""

    severity: tuple[Severity, ...] = ()
    owner: tuple[str, ...] = ()
    kind: tuple[Kind, ...] = ()
    channels: tuple[Name, ...] = Field(min_length=1)

    def fits(self, condition: Condition) -> bool:
        """Tell whether it is meant for a condition."""
        named = ((self.severity, condition.severity), (self.owner, condition.owner), (self.kind, condition.kind))
        return all(not wanted or found in wanted for wanted, found in named)


class Escalation(_Model):
    """Who hears of a critical alert that nobody acknowledged."""

    after_hours: Hours
    channels: tuple[Name, ...] = Field(min_length=1)


class AlertPolicy(_Model):
    """The alerts file as one value; without a file, the defaults."""

    operator: str = Field("team:credit-platform", description="Owner of runs, sensors, schedules and daemons.")
    channels: Mapping[Name, Channel] = Field(default_factory=lambda: dict(_PLAIN))
    routes: tuple[Route, ...] = (Route(channels=(LOG, JOURNAL)),)
    escalation: Escalation | None = None
    reminder_hours: Hours | None = Field(24, description="Open alerts nobody acknowledged are told again this often.")
    settle_seconds: float = Field(15, ge=0, description="A condition younger than this waits for its cause to show up.")
    aftermath_minutes: float = Field(
        60, ge=0, description="What followed from an alert has this long to recover after it."
    )
    flapping_times: int = Field(3, ge=2, description="Openings after which an alert stays open until it is calm.")
    flapping_minutes: float = Field(60, gt=0, description="How long it must be calm, and how close openings must lie.")
    failing_ticks: int = Field(2, ge=1, description="Ticks of a sensor that must fail in a row.")
    daemon_silent_minutes: float = Field(5, gt=0, description="Age of a heartbeat from which a daemon is silent.")
    keep_resolved_days: float | None = Field(
        400, gt=0, le=36_600, description="How long resolved alerts are kept; null: for ever."
    )

    @model_validator(mode="after")
    def _known_channels(self) -> Self:
        used = {name for route in self.routes for name in route.channels}
        used |= set(self.escalation.channels) if self.escalation else set()
        if unknown := sorted(used - set(self.channels)):
            raise ValueError(f"no channel is named {', '.join(unknown)}; there are {', '.join(self.channels)}")
        return self

    @property
    def flapping_window(self) -> timedelta:
        """How close openings must lie to count together."""
        return timedelta(minutes=self.flapping_minutes)

    @property
    def aftermath(self) -> timedelta:
        """How long what followed from an alert may take to recover."""
        return timedelta(minutes=self.aftermath_minutes)

    @property
    def memory(self) -> timedelta:
        """How long a resolved alert still matters to the plan."""
        return max(self.flapping_window, self.aftermath)

    @property
    def kept(self) -> timedelta | None:
        """How long a resolved alert is kept: never less than it matters to the plan; None: for ever."""
        days = self.keep_resolved_days
        return None if days is None else max(timedelta(days=days), self.memory)

    def channels_for(self, condition: Condition) -> tuple[str, ...]:
        """List the channels that hear of a condition, each once."""
        return tuple(dict.fromkeys(name for route in self.routes if route.fits(condition) for name in route.channels))


def default_policy(*, webhook: bool) -> AlertPolicy:
    """Return the policy of a deployment without an alerts file: log, file, and the webhook when its address is set."""
    plain = AlertPolicy()
    if not webhook:
        return plain
    return AlertPolicy(
        channels={**plain.channels, WEBHOOK: WebhookChannel(kind="webhook")},
        routes=(Route(channels=(LOG, JOURNAL, WEBHOOK)),),
    )


def read_policy(path: Path, *, webhook: bool) -> AlertPolicy:
    """Read the alerts file.

    Parameters
    ----------
    path
        The file; an absent or empty one gives the defaults.
    webhook
        Whether CREDITRISK_ALERT_WEBHOOK is set: the defaults then post to it.

    Raises
    ------
    AlertsFileError
        It cannot be read or an entry is wrong.
    """
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        content = None
    except OSError as error:
        raise AlertsFileError(
            f"the alerts file {path} cannot be read ({error.strerror}); check its permissions"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise AlertsFileError(f"the alerts file {path} is not valid YAML: {' '.join(str(error).split())}") from error
    if content is None:
        return default_policy(webhook=webhook)
    try:
        if isinstance(content, dict) and "channels" not in content and "routes" not in content:
            defaults = default_policy(webhook=webhook)
            content = {**content, "channels": defaults.channels, "routes": defaults.routes}
        return AlertPolicy.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors(include_input=False)
        )
        raise AlertsFileError(f"the alerts file {path}: {problems}") from None
