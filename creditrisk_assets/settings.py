"""Deployment settings: the only reader of environment variables.

What belongs here: paths, URLs, limits and secrets of one deployment. What does not: hyper-parameters, cut-offs and gates (the policy
file of `modelling`), facts about the data (the contracts), one run's knobs (`dg.Config` in `defs`).
"""

import getpass
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "CREDITRISK_"
PATTERN_SIGNS = "*?["
SERVING_PREFIX = "CREDITRISK_SERVING_"


def unknown_variables(prefix: str, known: set[str], but: tuple[str, ...] = ()) -> list[str]:
    """List the environment variables under a prefix that no setting reads (a misspelt setting must not pass silently)."""
    return sorted(
        name
        for name in os.environ
        if name.upper().startswith(prefix) and not name.upper().startswith(but or ("\0",)) and name.upper() not in known
    )


class Settings(BaseSettings):
    """What one deployment is made of. Every field is read from `CREDITRISK_<FIELD>`; with none set, all of it is local and embedded.

    Raises
    ------
    pydantic.ValidationError
        A value cannot be parsed, or a variable with the prefix names no setting.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    home: Path = Field(Path(".creditrisk"), description="Everything the platform writes lies below this directory.")
    source: str | None = Field(
        None,
        description="Directory, sources file (.yaml) or address of the raw tables; none: the last one, or the sample.",
    )
    months: str | None = Field(
        None,
        description="Directory or address (s3://, https://, …) of the production months' files; none: below the home directory.",
    )
    http_tokens: Mapping[str, SecretStr] = Field(
        default_factory=dict, description='Bearer tokens for sources on HTTP(S), as JSON: {"host[:port]": "token"}.'
    )
    azure_connection_string: SecretStr | None = Field(
        None, description="For sources in Azure Blob; none: Azure's own credential chain."
    )
    feed_look_seconds: int = Field(60, ge=1, description="How often the daemon looks at the feeds for a change.")
    threads: int = Field(
        default_factory=lambda: os.cpu_count() or 1, ge=1, description="Threads of DuckDB and LightGBM."
    )
    memory_limit: str = Field(
        "3GB", pattern=r"^\d+(\.\d+)?\s?[KMGT]i?B$", description="DuckDB's memory; past it, it spills."
    )
    object_store: str | None = Field(
        None,
        pattern=r"^s3://[^/\s]+(/\S*)?$",
        description="Address of the object store that published versions are kept in, s3://bucket/prefix; none: this machine's disk alone.",
    )
    dagster_yaml: Path | None = Field(
        None, description="Dagster's instance (dagster.yaml) the commands use; none: the embedded one."
    )
    engine: Literal["duckdb", "spark"] = Field(
        "duckdb",
        description="What computes the features: DuckDB in this process, or Spark for tables past one machine.",
    )
    spark_master: str = Field(
        "local[2]", min_length=1, description="Spark's master URL; `local[N]` is this machine with N threads."
    )
    online_store: SecretStr | None = Field(
        None, description="SQLAlchemy URL of the online store; none: SQLite below the home directory."
    )
    relaxations: Path = Field(
        Path("deploy/relaxations.yaml"), description="Contract rules relaxed by name, with reason and expiry."
    )
    policy: Path | None = Field(None, description="Model and credit policy; none: the one beside the code.")
    mlflow_tracking_uri: str | None = Field(None, description="MLflow server; none: SQLite below the home directory.")
    mlflow_experiment: str = Field("credit-risk", min_length=1)
    registered_model: str = Field("credit-risk-pd", min_length=1, description="Name in the MLflow registry.")
    signing_key: SecretStr | None = Field(
        None, description="Ed25519 private key (PEM) for bundles; none: one is made at first use."
    )
    identity: str | None = Field(
        None,
        min_length=1,
        description="Who acts, as the registry's ledger names it; none: the operating system's user.",
    )
    registry_database: SecretStr | None = Field(
        None, description="SQLAlchemy URL of the registry's ledger; none: SQLite below the home directory."
    )
    registry_checkpoints: Path | None = Field(
        None,
        description="File of the ledger's signed checkpoints; keep it, or a copy, where the database's keepers cannot write.",
    )
    replicas: tuple[str, ...] = Field(
        (),
        description='Addresses of the services that must report a promoted version, as JSON: ["http://10.0.0.5:8000"].',
    )
    replica_key: SecretStr | None = Field(
        None,
        description="API key they are asked with for the hash of their bundle; none: they are asked for its version alone.",
    )
    replica_timeout_seconds: float = Field(
        60.0, gt=0, description="How long they may take; past it a promotion is taken back."
    )
    alerts: Path = Field(Path("deploy/alerts.yaml"), description="Channels, routes, escalation of alerts.")
    alerts_database: SecretStr | None = Field(
        None, description="SQLAlchemy URL of the alert store; none: SQLite below the home directory."
    )
    alert_webhook: SecretStr | None = Field(None, description="Where alerts are posted as JSON; none: log and file.")
    alert_webhooks: Mapping[str, SecretStr] = Field(
        default_factory=dict, description="Addresses of further webhook channels by name, as a JSON object."
    )
    alert_webhook_timeout_seconds: float = Field(5.0, gt=0)
    smtp_user: str | None = Field(None, description="Login of e-mail channels; none: without login.")
    smtp_password: SecretStr | None = None

    cloudwatch_namespace: str | None = Field(
        None, min_length=1, description="Namespace of CloudWatch that drift figures are sent to; none: they are not."
    )

    @model_validator(mode="after")
    def _refuse_unknown(self) -> Self:
        known = {f"{PREFIX}{name.upper()}" for name in type(self).model_fields}
        if unknown := unknown_variables(PREFIX, known, but=(SERVING_PREFIX,)):
            raise ValueError(f"no setting is named {', '.join(unknown)}; known: {', '.join(sorted(known))}")
        return self

    @model_validator(mode="after")
    def _refuse_patterns(self) -> Self:
        """Refuse a home whose name the libraries below would take for a pattern or a part of a URL."""
        if found := sorted(set(str(self.home.expanduser().resolve())) & set("*?[]#%")):
            raise ValueError(
                f"{PREFIX}HOME: the path holds {' '.join(found)}, which readers take for a pattern; rename it"
            )
        return self

    @cached_property
    def root(self) -> Path:
        """The home directory, absolute."""
        return self.home.expanduser().resolve()

    @property
    def lake(self) -> Path:
        """Versioned tables and artefacts."""
        return self.root / "lake"

    @property
    def landing(self) -> Path:
        """Fetched files of the feeds, as delivered."""
        return self.root / "landing"

    @property
    def month_files(self) -> Path:
        """Files of the production months, where no other place is configured."""
        return self.root / "months"

    @property
    def simulation(self) -> Path:
        """What the simulator knows of the months it drew, and tells month by month."""
        return self.root / "simulation"

    @property
    def spill(self) -> Path:
        """Where DuckDB spills what does not fit its memory limit."""
        return self.root / "spill"

    @property
    def dagster_home(self) -> Path:
        """Dagster's instance."""
        return self.root / "dagster"

    @property
    def dagster_instance(self) -> Path:
        """File of the Dagster instance in force."""
        return self.dagster_yaml or self.dagster_home / "dagster.yaml"

    @property
    def online(self) -> Path:
        """Snapshots of the online store when no database is configured."""
        return self.root / "online"

    @property
    def online_store_url(self) -> str | None:
        """SQLAlchemy URL of the online store; None: the files of `online`."""
        return None if self.online_store is None else self.online_store.get_secret_value()

    @property
    def bundles(self) -> Path:
        """Published model bundles, one directory per version, and the pointer to the champion's."""
        return self.root / "bundles"

    @property
    def keys(self) -> Path:
        """Keys generated for local use."""
        return self.root / "keys"

    @property
    def reports(self) -> Path:
        """Named exports auditors ask for."""
        return self.root / "reports"

    @property
    def registry_url(self) -> SecretStr:
        """SQLAlchemy URL of the registry's ledger."""
        return self.registry_database or SecretStr(f"sqlite:///{self.root / 'registry.db'}")

    @property
    def registry_checkpoints_file(self) -> Path:
        """File of the ledger's signed checkpoints."""
        return self.registry_checkpoints or self.root / "checkpoints" / "registry.jsonl"

    @property
    def registry_lock(self) -> Path:
        """Held by whoever changes the champion."""
        return self.root / "registry.lock"

    @property
    def actor(self) -> str:
        """Who acts: the identity configured, or the operating system's user."""
        return self.identity or getpass.getuser()

    @property
    def lockbox(self) -> Path:
        """Ledger of every opening of the test part."""
        return self.root / "lockbox.jsonl"

    @property
    def research(self) -> Path:
        """What research that is under way has found so far."""
        return self.root / "research"

    @property
    def mlflow_artifacts(self) -> Path:
        """MLflow's artefacts when no server is configured."""
        return self.root / "mlartifacts"

    @property
    def alerts_url(self) -> SecretStr:
        """SQLAlchemy URL of the alert store."""
        return self.alerts_database or SecretStr(f"sqlite:///{self.root / 'alerts.db'}")

    @property
    def tracking_uri(self) -> str:
        """MLflow's tracking and registry URI."""
        return self.mlflow_tracking_uri or f"sqlite:///{self.root / 'mlflow.db'}"
