"""The alerts file: what it may say, what is refused, and that a mistake in it ends no alert."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from creditrisk_assets.monitoring.alerts.channels import load_policy, open_channels
from creditrisk_assets.monitoring.alerts.configuration import AlertsFileError, read_policy
from creditrisk_assets.monitoring.alerts.delivery import (
    EmailChannel,
    FileChannel,
    LogChannel,
    SnsChannel,
    WebhookChannel,
)
from creditrisk_assets.monitoring.conditions import Condition
from creditrisk_assets.settings import Settings

EXAMPLE = """
operator: team:platform
channels:
  log: {kind: log}
  journal: {kind: file, path: told.jsonl}
  data_chat: {kind: webhook}
  on_call: {kind: email, host: mail.example.com, sender: risk@example.com, recipients: [ana@example.com]}
  pager: {kind: sns, topic_arn: "arn:aws:sns:eu-central-1:123456789012:alerts"}
routes:
  - channels: [log, journal]
  - {owner: [team:credit-data], kind: [freshness, data_age], channels: [data_chat]}
  - {severity: [critical], channels: [on_call]}
escalation: {after_hours: 2, channels: [pager]}
reminder_hours: 12
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "alerts.yaml"
    path.write_text(text)
    return path


def condition(severity: str = "warning", owner: str = "team:credit-data", kind: str = "freshness") -> Condition:
    return Condition(kind, "raw/bureau", severity, "w", datetime(2026, 3, 2, tzinfo=UTC), "r", owner=owner)


@pytest.mark.parametrize("text", [None, "", "# nothing but comments\n"])
@pytest.mark.parametrize("webhook", [True, False])
def test_without_a_file_alerts_go_to_log_file_and_the_webhook_if_there_is_one(
    tmp_path: Path, text: str | None, webhook: bool
) -> None:
    path = tmp_path / "absent.yaml" if text is None else written(tmp_path, text)
    policy = read_policy(path, webhook=webhook)
    assert policy.channels_for(condition()) == (("log", "journal", "webhook") if webhook else ("log", "journal"))


def test_the_file_that_comes_with_the_project_changes_nothing() -> None:
    shipped = Path(__file__).parents[3] / "deploy" / "alerts.yaml"
    assert shipped.is_file()
    assert read_policy(shipped, webhook=True) == read_policy(Path("absent"), webhook=True)


def test_the_examples_of_the_file_that_comes_with_the_project_are_right(tmp_path: Path) -> None:
    shipped = (Path(__file__).parents[3] / "deploy" / "alerts.yaml").read_text()
    example = [line.removeprefix("#   ") for line in shipped.partition("# --- example")[2].splitlines()[1:]]
    policy = read_policy(written(tmp_path, "\n".join(example)), webhook=True)
    assert {entry.kind for entry in policy.channels.values()} == {"log", "file", "webhook", "email", "sns"}
    assert policy.escalation is not None


def test_a_file_of_times_alone_keeps_the_default_channels(tmp_path: Path) -> None:
    policy = read_policy(written(tmp_path, "settle_seconds: 0\nfailing_ticks: 1\n"), webhook=True)
    assert (policy.settle_seconds, policy.failing_ticks) == (0, 1)
    assert policy.channels_for(condition()) == ("log", "journal", "webhook")


def test_routes_go_by_owner_kind_and_severity(tmp_path: Path) -> None:
    policy = read_policy(written(tmp_path, EXAMPLE), webhook=False)
    assert policy.channels_for(condition()) == ("log", "journal", "data_chat")
    assert policy.channels_for(condition(severity="critical")) == ("log", "journal", "data_chat", "on_call")
    assert policy.channels_for(condition(owner="team:model-risk")) == ("log", "journal")
    assert policy.channels_for(condition(kind="check")) == ("log", "journal")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("channels: [", "not valid YAML"),
        ("- a list", "should be a valid dictionary"),
        ("routes: [{channels: [pager]}]\nchannels: {log: {kind: log}}", "no channel is named pager; there are log"),
        ("channels: {x: {kind: pigeon}}", "channels.x"),
        ("channels: {x: {kind: webhook, address: https://secret.example.com}}", "channels.x.webhook.address"),
        ("channels: {x: {kind: email, host: h, sender: risk, recipients: [a@b.c]}}", "sender"),
        ("channels: {x: {kind: email, host: h, sender: a@b.c, recipients: []}}", "recipients"),
        ("channels: {x: {kind: sns, topic_arn: alerts}}", "topic_arn"),
        ("channels: {'my chat': {kind: log}}", "channels.my chat"),
        ("routes: [{severity: [fatal], channels: [log]}]", "routes.0.severity"),
        ("escalation: {after_hours: -1, channels: [log]}", "after_hours"),
        ("reminder_hours: never", "reminder_hours"),
        ("reminders: 3", "reminders"),
    ],
)
def test_what_is_wrong_is_refused_by_name(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(AlertsFileError, match="the alerts file") as caught:
        read_policy(written(tmp_path, text), webhook=False)
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_mistake_in_the_file_leaves_the_defaults_and_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITRISK_ALERTS", str(written(tmp_path, "channels: [")))
    policy, problem = load_policy(Settings())
    assert policy.channels_for(condition()) == ("log", "journal")
    assert problem is not None
    assert "until it is mended alerts take the default channels" in problem


def test_channels_get_their_secrets_from_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import logging

    path = written(tmp_path, EXAMPLE.replace("  log:", "  chat: {kind: webhook}\n  log:"))
    for name, value in {
        "ALERTS": str(path),
        "ALERT_WEBHOOK": "https://example.com/one",
        "ALERT_WEBHOOKS": '{"data_chat": "https://example.com/two"}',
        "SMTP_USER": "risk",
        "SMTP_PASSWORD": "very-secret",
    }.items():
        monkeypatch.setenv(f"CREDITRISK_{name}", value)
    settings = Settings()
    policy, _ = load_policy(settings)
    channels, problems = open_channels(policy, settings, logging.getLogger())
    assert problems == ()
    assert {name: type(channel) for name, channel in channels.items()} == {
        "log": LogChannel, "journal": FileChannel, "chat": WebhookChannel, "data_chat": WebhookChannel,
        "on_call": EmailChannel, "pager": SnsChannel,
    }  # fmt: skip
    addresses = [channels[name].address.get_secret_value() for name in ("chat", "data_chat")]
    assert addresses == ["https://example.com/one", "https://example.com/two"]
    assert channels["journal"].path == settings.root / "told.jsonl"
    assert (channels["on_call"].user, channels["on_call"].password.get_secret_value()) == ("risk", "very-secret")
    assert channels["pager"].client.meta.region_name == "eu-central-1"
    assert "very-secret" not in repr(channels)


def test_a_channel_without_its_secret_is_said_and_the_others_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import logging

    text = EXAMPLE.replace("sender:", "security: none, sender:")
    monkeypatch.setenv("CREDITRISK_ALERTS", str(written(tmp_path, text)))
    monkeypatch.setenv("CREDITRISK_SMTP_USER", "risk")
    settings = Settings()
    channels, problems = open_channels(load_policy(settings)[0], settings, logging.getLogger())
    assert set(channels) == {"log", "journal", "pager"}
    assert problems[0].startswith(
        "channel data_chat cannot be opened: its address is not set; set CREDITRISK_ALERT_WEBHOOK"
    )
    assert "would be sent in the clear" in problems[1]


def test_a_channel_whose_client_cannot_be_made_is_said_and_the_others_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import logging

    monkeypatch.setenv("CREDITRISK_ALERTS", str(written(tmp_path, EXAMPLE)))
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    settings = Settings()
    channels, problems = open_channels(load_policy(settings)[0], settings, logging.getLogger())
    assert {"log", "journal"} <= set(channels)
    assert "channel pager cannot be opened: no client can be made (ProfileNotFound); check AWS_PROFILE" in " ".join(
        problems
    )
