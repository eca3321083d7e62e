"""The deployment's settings and lake, as one Dagster resource."""

from functools import cached_property

import dagster as dg

from creditrisk_assets.lake import Lake
from creditrisk_assets.settings import Settings


class Platform(dg.ConfigurableResource):  # type: ignore[type-arg]  # generic only in Dagster's annotations
    """Settings and lake of this deployment; the environment is read when a run first asks, not when the code is loaded."""

    @cached_property
    def settings(self) -> Settings:
        """The deployment's settings."""
        return Settings()

    @cached_property
    def lake(self) -> Lake:
        """The deployment's lake."""
        return Lake(self.settings.lake)
