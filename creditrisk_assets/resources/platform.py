"""The deployment's settings, lake and feeds, as one Dagster resource."""

from functools import cached_property

import dagster as dg

from creditrisk_assets.ingestion.connectors import Credentials
from creditrisk_assets.ingestion.feeds import Feeds
from creditrisk_assets.ingestion.months import MonthFiles, month_files
from creditrisk_assets.ingestion.sources import source_set
from creditrisk_assets.lake import Lake
from creditrisk_assets.mirror import mirror_of
from creditrisk_assets.resources.s3 import s3_client
from creditrisk_assets.settings import Settings


class Platform(dg.ConfigurableResource):  # type: ignore[type-arg]  # generic only in Dagster's annotations
    """Settings, lake and feeds of this deployment; the environment is read when a run first asks, not when the code is loaded."""

    @cached_property
    def settings(self) -> Settings:
        """The deployment's settings."""
        return Settings()

    @cached_property
    def lake(self) -> Lake:
        """The deployment's lake."""
        return Lake(self.settings.lake, mirror_of(self.settings))

    @cached_property
    def feeds(self) -> Feeds:
        """The feeds of the source in force."""
        return open_feeds(self.settings)

    @cached_property
    def months(self) -> MonthFiles:
        """The files of production months."""
        return month_files(self.settings, credentials_of(self.settings))


def open_feeds(settings: Settings) -> Feeds:
    """Return the feeds of the source in force, with the deployment's credentials."""
    return Feeds(source_set(settings), credentials_of(settings))


def credentials_of(settings: Settings) -> Credentials:
    """Return what the deployment's connectors need."""
    return Credentials(
        http_tokens=settings.http_tokens,
        azure_connection_string=settings.azure_connection_string,
        s3_client=s3_client,
        sample_root=settings.root / "sample",
    )
