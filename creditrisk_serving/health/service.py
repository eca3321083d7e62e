"""What the service tells of itself.

What belongs here: readiness and its reasons, the description of the model in use. What does not: routes (`endpoints`).
"""

from creditrisk_serving.access import KeyFileError
from creditrisk_serving.decisions.database import SCHEMA as DECISIONS
from creditrisk_serving.health.schemas import (
    Contracts,
    Data,
    Input,
    Metadata,
    ModelInUse,
    PolicyInUse,
    Readiness,
    Training,
)
from creditrisk_serving.online.store import SCHEMA as ONLINE
from creditrisk_serving.scoring.champion import Champion
from creditrisk_serving.settings import ServingSettings
from creditrisk_serving.state import Service

LIMITS = ("max_body_bytes", "max_applicants", "max_history_rows")
SYNTHETIC_NOTE = (
    "This model was trained on the synthetic portfolio: its AUC proves that the mechanics work,"
    " and says nothing about real applicants."
)


def readiness(service: Service) -> Readiness:
    """Probe what the service depends on.

    A published bundle that was refused is a warning while the one before it is in use, and a reason when there is
    none. The same holds for the online store's snapshot.
    """
    standing = service.follower.standing
    reasons: list[str] = []
    warnings: list[str] = []
    if standing.bundle_problem is not None:
        (reasons if standing.champion is None else warnings).append(standing.bundle_problem)
    if standing.champion is not None and standing.store_problem is not None:
        (reasons if standing.champion.published is None else warnings).append(standing.store_problem)
    if (problem := service.log.problem()) is not None:
        reasons.append(problem)
    else:
        warnings += service.log.warnings()
    try:
        service.keys.caller(None)
    except KeyFileError as error:
        reasons.append(str(error))
    version = standing.champion.bundle.version if standing.champion else None
    return Readiness(not reasons, reasons, warnings, version)


def metadata(champion: Champion, settings: ServingSettings) -> Metadata:
    """Describe what decides: model, policy, features, contracts, data, and what one request may ask for."""
    bundle, policy, published = champion.bundle, champion.bundle.policy, champion.published
    manifest = bundle.manifest
    return Metadata(
        model=ModelInUse(
            name=manifest.get("name"),
            version=bundle.version,
            created_at=manifest.get("created_at"),
            code_version=manifest.get("code_version"),
            bundle_sha256=champion.bundle_sha256,
            features=[Input(name=f.name, family=f.family, kind=f.kind) for f in bundle.features],
        ),
        policy=PolicyInUse(
            version=champion.policy_version,
            sha256=policy.digest,
            bands=[band.model_dump() for band in policy.bands],
            decisions=policy.decisions.model_dump(),
            eligibility=[rule.model_dump() for rule in policy.eligibility],
            score=policy.score.model_dump(),
        ),
        features=champion.bundle.definitions,
        contracts=Contracts(
            sha256=manifest["files"]["plan.json"],
            tables={name: len(table["columns"]) for name, table in bundle.plan["tables"].items()},
        ),
        limits={name: getattr(settings, name) for name in LIMITS},
        training=Training(metrics=bundle.metrics, note=SYNTHETIC_NOTE if bundle.metrics.get("synthetic") else None),
        data=Data(
            trained_on=manifest.get("inputs", {}),
            looked_up_in=published.versions if published else None,
            verified_at=published.verified_at.isoformat() if published else None,
        ),
        schemas={schema.name: schema.head for schema in (DECISIONS, ONLINE)},
    )
