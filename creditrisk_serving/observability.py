"""What the service says about itself: request ids, JSON log lines, Prometheus metrics.

What belongs here: the metrics, the log's format, what is known of a request while it runs. What does not: the
middleware that fills them (`middleware`), what a request means (endpoints), how errors read (`errors`). No value of
an application, no id of an applicant and no exception text ever reaches the log: exception texts of SQL engines quote
the values they choke on.
"""

import logging
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from creditrisk_serving.access import Budget

LOG = logging.getLogger("creditrisk_serving")
REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
LATENCY_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
PD_BUCKETS = (0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.18, 0.25, 0.35, 0.5, 0.7, 1.0)


@dataclass(slots=True)
class RequestState:
    """What is known of one request while it runs; endpoints add to it, the middleware writes it out."""

    request_id: str
    started: float = field(default_factory=time.perf_counter)
    route: str | None = None  # the template; None: the router knows
    entities: int = 0
    model_version: str | None = None
    error: str | None = None
    key_id: str | None = None  # of who was let in, or refused for want of a scope
    scope: str | None = None  # of the key that the route asked for
    audited: bool = False
    budget: Budget | None = None  # who asks pays from it


def request_state(scope: Mapping[str, Any]) -> RequestState:
    """Return the request's state from its ASGI scope."""
    state: RequestState = scope["creditrisk.request"]
    return state


def request_id_of(headers: list[tuple[bytes, bytes]]) -> str:
    """Take the caller's X-Request-ID when it is well formed (letters, digits, `._:-`, at most 64), else make one."""
    given = [value for name, value in headers if name == b"x-request-id"]
    if len(given) == 1 and given[0].isascii() and REQUEST_ID.fullmatch(given[0].decode("ascii")):
        return given[0].decode("ascii")
    return secrets.token_hex(16)


def audit(state: RequestState, route: str, status: int) -> None:
    """Write the line that says which key did what only few may do."""
    fields = {
        "request_id": state.request_id,
        "key_id": state.key_id,
        "scope": state.scope,
        "route": route,
        "status": status,
    }
    LOG.info("audit", extra={"fields": fields})


class Children(dict[tuple[str, ...], Any]):
    """The children of a metric by the values of its labels, each looked up once.

    Parameters
    ----------
    metric
        A metric with labels, whose values come from small closed sets.
    """

    def __init__(self, metric: Any) -> None:
        super().__init__()
        self._metric = metric

    def __missing__(self, labels: tuple[str, ...]) -> Any:
        child = self[labels] = self._metric.labels(*labels)
        return child


@dataclass
class Metrics:
    """The service's Prometheus metrics, in a registry of their own so that two apps in one process do not collide.

    Parameters
    ----------
    shared
        Directory in which several processes put their metrics together; none: one process.
    """

    shared: Path | None = None
    registry: CollectorRegistry = field(default_factory=lambda: CollectorRegistry(auto_describe=True))

    def __post_init__(self) -> None:
        self._in_use: tuple[str, str, str] | None = None
        self._shadow: str | None = None
        made: dict[str, Any] = {"registry": self.registry, "namespace": "creditrisk"}
        self.latency = Children(
            Histogram("request_seconds", "Time to answer.", ["route"], buckets=LATENCY_SECONDS, **made)
        )
        self.requests = Children(Counter("requests", "Requests answered.", ["route", "status"], **made))
        self.errors = Children(Counter("errors", "Requests refused or failed, by kind.", ["kind"], **made))
        self.field_errors = Children(Counter("field_errors", "Broken rules of sent fields.", ["table", "rule"], **made))
        self.decisions = Children(Counter("decisions", "Decisions answered.", ["decision", "band"], **made))
        self.pd = Histogram("pd", "Probability of default answered.", buckets=PD_BUCKETS, **made)
        self.families = Children(
            Counter("feature_family_states", "Where features came from.", ["family", "state"], **made)
        )
        self.reasons = Children(
            Counter("reasons", "Reasons told of referrals and declines, by code of the catalogue.", ["reason"], **made)
        )
        self.unexplained = Counter(
            "unexplained", "Decisions whose contributions did not add up and were kept back: a broken bundle.", **made
        )
        self.swaps = Children(Counter("bundle_loads", "Bundles loaded or refused.", ["outcome"], **made))
        self.shadowed = Children(
            Counter(
                "shadow_scores", "Decisions the shadow scored beside the champion, or failed to.", ["outcome"], **made
            )
        )
        self.shadow = Gauge(
            "shadow_info", "1 for the shadow in use.", ["model_version"], multiprocess_mode="max", **made
        )
        self.model = Gauge(
            "model_info",
            "1 for the bundle in use.",
            ["model_version", "bundle_sha256", "policy_version"],
            multiprocess_mode="max",
            **made,
        )

    def in_use(self, model_version: str, bundle_sha256: str, policy_version: str) -> None:
        """Note the bundle in use; the one before it stays at 0 (series cannot be removed when several processes share them)."""
        if self._in_use is not None:
            self.model.labels(*self._in_use).set(0)
        self._in_use = (model_version, bundle_sha256, policy_version)
        self.model.labels(*self._in_use).set(1)

    def shadow_in_use(self, model_version: str | None) -> None:
        """Note the shadow in use; None: there is none."""
        if self._shadow is not None and self._shadow != model_version:
            self.shadow.labels(self._shadow).set(0)
        if model_version is not None:
            self.shadow.labels(model_version).set(1)
        self._shadow = model_version

    def render(self) -> bytes:
        """Render all metrics in Prometheus' text format."""
        if self.shared is None:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together, path=str(self.shared))  # type: ignore[no-untyped-call] # its release has no types
        return generate_latest(together)


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, event, and the fields given by `extra={"fields": …}`."""

    def format(self, record: logging.LogRecord) -> str:
        """Render one record; a traceback is cut to the exception's type and place, because its text may quote data."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = place_of(record.exc_info[1])
        return msgspec.json.encode(line).decode()


def place_of(error: BaseException) -> dict[str, str]:
    """Name an exception's type and where it was raised, without its text."""
    trace, place = error.__traceback__, "?"
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f"{Path(code.co_filename).name}:{trace.tb_lineno} {code.co_name}"
        trace = trace.tb_next
    return {"type": type(error).__name__, "at": place}


def surprise(error: BaseException) -> str:
    """Say what went wrong in the decision log by its kind and place; its words may hold an applicant's values."""
    place = place_of(error)
    return f"{place['type']} at {place['at']}; keep the files and report it"


def log_config() -> dict[str, Any]:
    """Have everything logged as one JSON object per line on standard output."""
    handler = {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"}
    quiet = {"handlers": ["out"], "level": "INFO", "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "creditrisk_serving.observability.JsonFormatter"}},
        "handlers": {"out": handler},
        "loggers": {"creditrisk_serving": quiet, "uvicorn": quiet},
    }
