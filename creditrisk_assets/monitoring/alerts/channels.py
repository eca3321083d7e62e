"""The channels of a deployment: what the alerts file names, with the secrets that the settings hold.

What belongs here: opening channels. What does not: the file (`configuration`), sending (`delivery`).
"""

import logging
from collections.abc import Mapping

from creditrisk_assets.monitoring.alerts import configuration as conf
from creditrisk_assets.monitoring.alerts.delivery import (
    Channel,
    EmailChannel,
    FileChannel,
    LogChannel,
    SnsChannel,
    WebhookChannel,
)
from creditrisk_assets.settings import PREFIX, Settings


def load_policy(settings: Settings) -> tuple[conf.AlertPolicy, str | None]:
    """Read the alerts file of a deployment; one that is wrong gives the defaults, and says why: alerts must not end with a typing error."""
    webhook = settings.alert_webhook is not None
    try:
        return conf.read_policy(settings.alerts, webhook=webhook), None
    except conf.AlertsFileError as error:
        return conf.default_policy(webhook=webhook), f"{error}; until it is mended alerts take the default channels"


def open_channels(
    policy: conf.AlertPolicy, settings: Settings, logger: logging.Logger
) -> tuple[Mapping[str, Channel], tuple[str, ...]]:
    """Open the channels of a policy.

    Parameters
    ----------
    policy
        What the alerts file says.
    settings
        Secrets and the home directory.
    logger
        Where the log channel writes.

    Returns
    -------
    tuple
        The channels by name, and what keeps others from being opened: one that cannot be opened keeps its messages, and the rest works.
    """
    channels: dict[str, Channel] = {}
    problems = []
    for name, entry in policy.channels.items():
        opened = _open(name, entry, settings, logger)
        if isinstance(opened, str):
            problems.append(f"channel {name} cannot be opened: {opened}")
        else:
            channels[name] = opened
    return channels, tuple(problems)


def _open(name: str, entry: conf.Channel, settings: Settings, logger: logging.Logger) -> Channel | str:
    match entry:
        case conf.LogChannel():
            return LogChannel(logger)
        case conf.FileChannel():
            return FileChannel(settings.root / entry.path)
        case conf.WebhookChannel():
            address = settings.alert_webhooks.get(name, settings.alert_webhook)
            if address is None:
                return f"its address is not set; set {PREFIX}ALERT_WEBHOOK, or {name} in {PREFIX}ALERT_WEBHOOKS"
            return WebhookChannel(address, settings.alert_webhook_timeout_seconds)
        case conf.EmailChannel():
            if settings.smtp_user and entry.security == "none":
                return "the login would be sent in the clear; set its security to starttls or tls"
            return EmailChannel(
                entry.host, entry.port, entry.security, entry.sender, entry.recipients,
                settings.smtp_user, settings.smtp_password,
            )  # fmt: skip
        case conf.SnsChannel():
            return _open_sns(entry)


def _open_sns(entry: conf.SnsChannel) -> Channel | str:
    try:
        import boto3  # noqa: PLC0415 -- only where it is used
        from botocore.config import Config  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415
    except ImportError:
        return "boto3 is not installed; install the extra `assets`"
    region = entry.topic_arn.split(":")[3]
    patience = Config(connect_timeout=5, read_timeout=10, retries={"max_attempts": 1})
    try:
        client = boto3.client("sns", region_name=region, endpoint_url=entry.endpoint_url, config=patience)
    except (BotoCoreError, ValueError) as error:
        return f"no client can be made ({type(error).__name__}); check AWS_PROFILE, the AWS files and endpoint_url"
    return SnsChannel(client, entry.topic_arn)
