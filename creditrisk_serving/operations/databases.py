"""Which databases the platform has of its own: what is migrated and backed up.

What belongs here: one entry for each, with its URL, its schema and its tables. What does not: MLflow's and Dagster's databases, whose
schemas are theirs. To add one: its entry here, its revisions in a folder of `migrations`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import MetaData
from sqlalchemy.engine import URL, make_url

from creditrisk_assets.monitoring.alerts import store as alerts
from creditrisk_assets.registry import ledger
from creditrisk_assets.schema_version import Schema
from creditrisk_assets.settings import Settings
from creditrisk_serving.decisions import database as decisions
from creditrisk_serving.online import store as online
from creditrisk_serving.settings import ServingSettings


@dataclass(frozen=True)
class OwnDatabase:
    """A database that the platform makes and migrates."""

    schema: Schema
    tables: MetaData
    url: URL
    adopt: Callable[[], None]  # brings one of a release without versions up to date, and notes the version

    @property
    def file(self) -> Path | None:
        """SQLite's file; None: it is on a server."""
        return Path(str(self.url.database)) if self.url.get_backend_name() == "sqlite" else None


def own_databases(settings: ServingSettings) -> tuple[OwnDatabase, ...]:
    """List the platform's own databases, by the settings."""
    platform = settings.platform
    online_url = platform.online_store_url or f"sqlite:///{platform.online / 'index.sqlite'}"
    alerts_url = platform.alerts_url.get_secret_value()
    return (
        OwnDatabase(
            decisions.SCHEMA,
            decisions.METADATA,
            make_url(settings.decision_log_url),
            lambda: _adopt_decisions(settings.decision_log_url),
        ),
        OwnDatabase(
            online.SCHEMA,
            online.INDEX,
            make_url(online_url),
            lambda: online.OnlineStore(platform.online, platform.online_store_url).adopt(),
        ),
        OwnDatabase(alerts.SCHEMA, alerts.METADATA, make_url(alerts_url), lambda: _adopt_alerts(platform.alerts_url)),
        OwnDatabase(
            ledger.SCHEMA,
            ledger.METADATA,
            make_url(platform.registry_url.get_secret_value()),
            lambda: _adopt_ledger(platform),
        ),
    )


def _adopt_decisions(url: str) -> None:
    with decisions.reading(url) as database:
        database.opened()


def _adopt_ledger(platform: Settings) -> None:
    with ledger.Ledger(platform.registry_url, platform.registry_checkpoints_file, b"") as opened:
        opened.adopt()


def _adopt_alerts(url: SecretStr) -> None:
    with alerts.AlertStore(url) as store:
        store.waiting()
