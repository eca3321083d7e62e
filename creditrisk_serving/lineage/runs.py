"""Are the runs that a lineage names still known to MLflow and Dagster.

What belongs here: looking them up. What does not: which runs they are (`creditrisk_assets.registry.lineage`).
"""

from collections.abc import Iterator

from creditrisk_assets.registry.lineage import MODEL, Gap, ModelOrigin
from creditrisk_assets.registry.tracking import TrackingError, quiet
from creditrisk_assets.settings import Settings


def forgotten_runs(settings: Settings, origin: ModelOrigin) -> Iterator[Gap]:
    """Name the runs of a model version that can no longer be looked up, and why; nothing is made where there is no store.

    Parameters
    ----------
    settings
        Where the runs are kept.
    origin
        Which runs.
    """
    named_by = f"{MODEL} {origin.model_version}"
    if origin.mlflow_run_id is not None and (why := _mlflow(settings, origin.mlflow_run_id)) is not None:
        yield Gap(f"MLflow run {origin.mlflow_run_id}", named_by, why)
    if origin.dagster_run_id is not None and (why := _dagster(settings, origin.dagster_run_id)) is not None:
        yield Gap(f"Dagster run {origin.dagster_run_id}", named_by, why)


def _mlflow(settings: Settings, run_id: str) -> str | None:
    if settings.mlflow_tracking_uri is None and not (settings.root / "mlflow.db").is_file():
        return f"there is no MLflow store in {settings.root}"
    import mlflow  # noqa: PLC0415 - seconds of imports

    mlflow.set_tracking_uri(settings.tracking_uri)
    try:
        with quiet():
            stage = mlflow.MlflowClient().get_run(run_id).info.lifecycle_stage
    except TrackingError as error:
        return (
            "MLflow knows no such run" if error.code == "RESOURCE_DOES_NOT_EXIST" else f"MLflow answered {error.code}"
        )
    return None if stage == "active" else f"it was {stage} in MLflow"


def _dagster(settings: Settings, run_id: str) -> str | None:
    instance_file = settings.dagster_instance
    if not instance_file.is_file():
        return f"there is no Dagster instance in {instance_file.parent}"
    import dagster as dg  # noqa: PLC0415 - seconds of imports

    with dg.DagsterInstance.from_config(str(instance_file.parent), instance_file.name) as instance:
        return None if instance.has_run(run_id) else "Dagster knows no such run: it was deleted"
