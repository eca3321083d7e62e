"""Settings of the running service: `CREDITRISK_SERVING_<FIELD>`, on top of the platform's own settings.

What belongs here: where the service listens, its limits, where its log and keys are. What does not: the platform's
paths (`creditrisk_assets.settings`), cut-offs and bands (the policy inside the signed bundle; no setting and no
caller can change them).
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from creditrisk_assets.settings import SERVING_PREFIX, Settings, unknown_variables
from creditrisk_serving.access.limits import RATE_FORM

Stored = Literal["journal", "strict", "database"]


class ServingSettings(BaseSettings):
    """What one deployment of the service is made of; with none set it is local, embedded and bound to this machine.

    Raises
    ------
    pydantic.ValidationError
        A value cannot be parsed, or a variable with the prefix names no setting.
    """

    model_config = SettingsConfigDict(env_prefix=SERVING_PREFIX, frozen=True, extra="forbid")

    platform: Settings = Field(default_factory=Settings, description="The platform's settings (home, lake, bundles).")
    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on; the default is this machine only.")
    port: int = Field(8000, description="Port to listen on.", ge=1, le=65535)
    workers: int = Field(1, ge=1, le=64, description="Processes.")
    scoring_threads: int = Field(2, ge=1, le=64, description="Threads of one process that compute features and scores.")
    waiting_requests: int = Field(
        64, ge=0, description="Requests that may wait for a thread; past it: 503, retry later."
    )
    decisions_url: SecretStr | None = Field(
        None, description="SQLAlchemy URL of the decision log; none: SQLite at home."
    )
    decisions_stored: Stored = Field(
        "journal",
        description="What an answer waits for: `journal` (a killed process loses nothing), `strict` (on disk) or `database` (committed).",
    )
    journal: Path | None = Field(
        None, description="Directory of decisions the database has not taken yet; none: journal/ of the home."
    )
    journal_bytes: int = Field(
        256 * 1024 * 1024,
        ge=1024,
        description="Bytes of one process that may wait there, so that answers go on while the database is down; past it: 503.",
    )
    hold_days: int = Field(
        760,
        ge=0,
        description="Days after an applicant's last decision before which nothing of it is erased (25 months).",
    )
    checkpoints: Path | None = Field(
        None,
        description="File of signed checkpoints of the decision log; none: checkpoints/decision_log.jsonl of the home.",
    )
    bundle_public_key: Path | None = Field(
        None, description="Ed25519 public key (PEM) bundles must be signed with; none: the one of the home directory."
    )
    api_keys: Path | None = Field(None, description="File of hashed API keys; none: keys/api_keys.json of the home.")
    rate_limit: str = Field(
        "50000/s",
        pattern=RATE_FORM,
        description="What a key without a rate of its own may ask for: applicants per `s`, `m`, `h` or `d`; past it: 429.",
    )
    notice: Path = Field(
        Path("deploy/notice.yaml"), description="What a notice says of the lender: jurisdiction, names, addresses."
    )
    approvals_database: SecretStr | None = Field(
        None, description="SQLAlchemy URL of the registry's ledger, for `POST /approvals`; none: it answers 503."
    )
    max_body_bytes: int = Field(8 * 1024 * 1024, ge=1024, description="Past it: 413.")
    max_applicants: int = Field(1000, ge=1, description="Applications and applicant ids of one request; past it: 413.")
    max_history_rows: int = Field(100_000, ge=0, description="History rows of one request, all tables; past it: 413.")
    poll_seconds: float = Field(
        1.0, gt=0, description="How often the published bundle and the online store are looked at."
    )
    max_age_hours: float = Field(
        48.0,
        gt=0,
        description="Hours after which features of the online store, not confirmed by a run since, are told as stale.",
    )
    traces_endpoint: str | None = Field(
        None,
        pattern="^https?://",
        description="OTLP address of an OpenTelemetry collector (`http://host:4318/v1/traces`); none: no traces.",
    )
    family_max_age_hours: dict[str, float] = Field(
        default_factory=dict, description='The same for single families, as JSON: `{"bureau": 24}`.'
    )

    deploy_cluster: str | None = Field(
        None, description="ECS cluster `serving/deployment` releases to; none: no target, and it does nothing."
    )
    deploy_service: str | None = Field(None, description="The service of that cluster.")
    deploy_container: str = Field("scoring", min_length=1, description="The container of its tasks that scores.")
    deploy_image: str | None = Field(
        None, description="Image to release, by digest; none: the one that runs is verified."
    )
    deploy_url: str | None = Field(None, description="Where callers reach it: the load balancer's address.")
    deploy_api_key: SecretStr | None = Field(
        None, description="API key with the scope `score` that a release is verified with."
    )

    @model_validator(mode="after")
    def _refuse_half_a_target(self) -> Self:
        parts = {name: getattr(self, f"deploy_{name}") for name in ("cluster", "service", "url", "api_key")}
        missing = [f"{SERVING_PREFIX}DEPLOY_{name.upper()}" for name, value in parts.items() if value is None]
        if (self.deploy_image is not None or len(missing) < len(parts)) and missing:
            raise ValueError(f"a target needs {', '.join(missing)} too; or set none of them")
        return self

    @model_validator(mode="after")
    def _refuse_unknown(self) -> Self:
        known = {f"{SERVING_PREFIX}{name.upper()}" for name in type(self).model_fields if name != "platform"}
        if unknown := unknown_variables(SERVING_PREFIX, known):
            raise ValueError(f"no setting is named {', '.join(unknown)}; known: {', '.join(sorted(known))}")
        return self

    @property
    def decision_log_url(self) -> str:
        """SQLAlchemy URL of the decision log."""
        if self.decisions_url is not None:
            return self.decisions_url.get_secret_value()
        return f"sqlite:///{self.platform.root / 'decisions.db'}"

    @property
    def journal_directory(self) -> Path:
        """Directory of the decisions the database has not taken yet."""
        return self.journal or self.platform.root / "journal"

    @property
    def checkpoints_file(self) -> Path:
        """File of signed checkpoints of the decision log."""
        return self.checkpoints or self.platform.root / "checkpoints" / "decision_log.jsonl"

    @property
    def api_keys_file(self) -> Path:
        """File of hashed API keys."""
        return self.api_keys or self.platform.keys / "api_keys.json"

    @property
    def metrics_directory(self) -> Path:
        """Where several processes put their metrics together."""
        return self.platform.root / "metrics"
