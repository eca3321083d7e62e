"""The application: construction and wiring, nothing at import.

What belongs here: `create_app`. What does not: logic of any route.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from creditrisk_serving import errors
from creditrisk_serving.access import KeyFile, Rate, Throttle
from creditrisk_serving.approvals.endpoints import router as approvals
from creditrisk_serving.approvals.schemas import ApprovalRequest, ApprovalTaken
from creditrisk_serving.decisions.endpoints import router as decisions
from creditrisk_serving.decisions.log import DecisionLog
from creditrisk_serving.decisions.schemas import Review, ReviewRequest, StoredDecision
from creditrisk_serving.desk.endpoints import router as desk
from creditrisk_serving.direct import Direct
from creditrisk_serving.document import document, operation_id
from creditrisk_serving.errors import Problem
from creditrisk_serving.health.endpoints import router as health
from creditrisk_serving.health.schemas import Liveness, Metadata, Readiness
from creditrisk_serving.middleware import Observed
from creditrisk_serving.notices.endpoints import router as notices
from creditrisk_serving.notices.schemas import Notice
from creditrisk_serving.observability import Metrics
from creditrisk_serving.recourse.endpoints import router as recourse
from creditrisk_serving.recourse.schemas import Recourse, RecourseRequest
from creditrisk_serving.sagemaker.endpoints import router as sagemaker
from creditrisk_serving.scoring.champion import Follower
from creditrisk_serving.scoring.endpoints import predict_directly
from creditrisk_serving.scoring.endpoints import router as scoring
from creditrisk_serving.scoring.parsing import Limits
from creditrisk_serving.scoring.schemas import Prediction, Validation, WhatIf
from creditrisk_serving.scoring.service import Scoring
from creditrisk_serving.settings import ServingSettings
from creditrisk_serving.state import Keys, Pool, Service
from creditrisk_serving.tracing import Traces

VERSION = "1"
# FastAPI's own would tell texts of exceptions, which quote an applicant's values, and asks for its providers at every request; `tracing`
# makes the spans.
NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
SHAPES = (
    Prediction, WhatIf, Validation, StoredDecision, Review, ReviewRequest, RecourseRequest, Recourse, Notice,
    ApprovalRequest, ApprovalTaken, Liveness, Readiness, Metadata, Problem,
)  # fmt: skip


def create_app(settings: ServingSettings | None = None, *, keys: Keys | None = None, apart: bool = False) -> FastAPI:
    """Build the application.

    Parameters
    ----------
    settings
        None: read from the environment.
    keys
        Who knows API keys; None: the file of the settings.
    apart
        Whether decisions are taken into the database by a process of its own.

    Returns
    -------
    FastAPI
        It opens nothing before its lifespan starts.
    """
    settings = settings or ServingSettings()
    metrics = Metrics(shared=settings.metrics_directory if settings.workers > 1 else None)

    traces = Traces(settings.traces_endpoint)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service = build_service(settings, metrics, keys or KeyFile(settings.api_keys_file), apart=apart)
        app.state.service = service
        try:
            await asyncio.to_thread(service.log.database.check_schema)
            await asyncio.to_thread(service.log.start)
            await asyncio.to_thread(traces.start)
            await asyncio.to_thread(service.follower.start)
            yield
        finally:
            await asyncio.to_thread(close_service, service)
            await asyncio.to_thread(traces.stop)

    app = FastAPI(
        title="Credit-risk scoring",
        version=VERSION,
        lifespan=lifespan,
        generate_unique_id_function=operation_id,
        docs_url=None,  # the page would load scripts from elsewhere; /openapi.json is there
        redoc_url=None,
        telemetry=NO_TELEMETRY,
        redirect_slashes=False,  # a redirect names the host and scheme of the request, which are not the proxy's
    )
    errors.install(app)
    app.add_middleware(Direct, routes={("POST", "/predict"): predict_directly})
    app.add_middleware(Observed, metrics=metrics, traces=traces, max_body_bytes=settings.max_body_bytes)
    for router in (scoring, decisions, notices, recourse, health, approvals, sagemaker, desk):
        app.include_router(router)
    documented = cache(lambda: document(app, SHAPES))
    app.openapi = documented  # type: ignore[method-assign] # FastAPI's way to a document of one's own
    return app


def build_service(settings: ServingSettings, metrics: Metrics, keys: Keys, *, apart: bool) -> Service:
    """Make the parts of a running app."""
    log = DecisionLog(
        settings.decision_log_url,
        settings.journal_directory,
        stored=settings.decisions_stored,
        room=settings.journal_bytes,
        apart=apart,
    )
    follower = Follower(settings, metrics)
    limits = Limits(settings.max_applicants, settings.max_history_rows)
    return Service(
        settings=settings,
        keys=keys,
        throttle=Throttle(Rate.parse(settings.rate_limit), settings.workers),
        metrics=metrics,
        log=log,
        follower=follower,
        scoring=Scoring(follower, log, limits, metrics),
        pool=Pool(settings.scoring_threads, settings.waiting_requests),
    )


def close_service(service: Service) -> None:
    """Finish what runs, then let go of everything."""
    service.pool.close()
    service.follower.stop()
    service.log.close()
