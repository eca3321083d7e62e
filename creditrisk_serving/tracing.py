"""Traces of requests by OpenTelemetry, sent to a collector over OTLP; the SDK is imported only when an address is set.

What belongs here: the span of a request. What does not: logs and metrics (`observability`), when a request ends (`middleware`). A span says
what the log line says: no value of an application and no applicant's id.
"""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from creditrisk_serving.observability import RequestState

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

SERVICE = "creditrisk-serving"
PARENT = "traceparent"
SERVER_ERROR = 500
EXPORT_SECONDS = 3  # also the longest that ending waits for a collector that is away


class Traces:
    """Where spans of requests go.

    Parameters
    ----------
    endpoint
        Address of the collector (`http://host:4318/v1/traces`); None: there are no spans.
    """

    def __init__(self, endpoint: str | None) -> None:
        self._endpoint = endpoint
        self._provider: TracerProvider | None = None
        self._tracer: Tracer | None = None

    def start(self) -> None:
        """Begin to send, from a thread of its own: a collector that is slow or away holds up no request."""
        if self._endpoint is None:
            return
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 -- an extra
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        self._provider = TracerProvider(resource=Resource.create({"service.name": SERVICE}), shutdown_on_exit=False)
        self._provider.add_span_processor(
            BatchSpanProcessor(OTLPSpanExporter(endpoint=self._endpoint, timeout=EXPORT_SECONDS))
        )
        self._tracer = self._provider.get_tracer(SERVICE)

    def record(
        self,
        state: RequestState,
        method: str,
        route: str,
        status: int,
        seconds: float,
        headers: Iterable[tuple[bytes, bytes]],
    ) -> None:
        """Make the span of a request that has ended, below the caller's if it named one."""
        if self._tracer is None:
            return
        from opentelemetry.trace import SpanKind, StatusCode  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        ended = time.time_ns()
        given = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers if name == PARENT.encode()}
        span = self._tracer.start_span(
            f"{method} {route}",
            context=TraceContextTextMapPropagator().extract(given),
            kind=SpanKind.SERVER,
            start_time=ended - int(seconds * 1e9),
            attributes={
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": status,
                "creditrisk.request_id": state.request_id,
                "creditrisk.entities": state.entities,
                "creditrisk.latency_ms": round(seconds * 1000, 3),
                "creditrisk.model_version": state.model_version or "",
                "error.type": state.error or "",
            },
        )
        if status >= SERVER_ERROR:
            span.set_status(StatusCode.ERROR)
        span.end(ended)

    def stop(self) -> None:
        """Send what is left, and end."""
        if self._provider is not None:
            self._provider.shutdown()
            self._provider = self._tracer = None
