"""MLflow's run lifetime, from dagster-mlflow, begun only when an asset has something to log.

`dagster_mlflow.mlflow_tracking` opens an MLflow run as soon as a Dagster run starts, and importing it imports MLflow (seconds). A graph
whose assets are all unchanged must do neither, so this resource holds the door and opens it at the first `begin`.
"""

import os
import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import dagster as dg

from creditrisk_assets.registry.tracking import quiet
from creditrisk_assets.settings import Settings


class MlflowRun:
    """The MLflow run of one Dagster run."""

    def __init__(self, context: dg.InitResourceContext, settings: Settings) -> None:
        self._context = context
        self._settings = settings
        self._run: Any = None

    def begin(self) -> str:
        """Open the run (once) and make it MLflow's active run.

        Returns
        -------
        str
            Its id.
        """
        if self._run is None:
            connect(self._settings)
            self._run = self._open()
        import mlflow  # noqa: PLC0415

        active = mlflow.active_run()
        if active is None:
            raise RuntimeError("MLflow has no active run; another asset ended it")
        return str(active.info.run_id)

    def _open(self) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", category=dg.BetaWarning)
            from dagster_mlflow.resources import MlFlow  # noqa: PLC0415  # imports MLflow

            return MlFlow(
                SimpleNamespace(
                    log=self._context.log,
                    dagster_run=self._context.run,
                    run_id=self._context.run.run_id if self._context.run else None,
                    resource_config={
                        "experiment_name": self._settings.mlflow_experiment,
                        "mlflow_tracking_uri": self._settings.tracking_uri,
                    },
                )
            )

    def end(self, *, failed: bool) -> None:
        """Close the run if it was opened."""
        if self._run is not None:
            self._run.end_run(status="FAILED" if failed else "FINISHED")


def connect(settings: Settings) -> None:
    """Point MLflow to the deployment's tracking server; make the local store and the experiment where there is none.

    Raises
    ------
    TrackingError
        The server does not answer, or refuses.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # it announces every table it makes
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # of its own 7 the last come after minutes of silence
    settings.root.mkdir(parents=True, exist_ok=True)
    import mlflow  # noqa: PLC0415

    mlflow.set_tracking_uri(settings.tracking_uri)
    mlflow.set_registry_uri(settings.tracking_uri)
    with quiet():
        if mlflow.get_experiment_by_name(settings.mlflow_experiment) is None:
            location = None if settings.mlflow_tracking_uri else settings.mlflow_artifacts.as_uri()
            mlflow.create_experiment(settings.mlflow_experiment, artifact_location=location)


@dg.resource(description="The MLflow run of this Dagster run, opened when something is logged.")
def mlflow_run(context: dg.InitResourceContext) -> Iterator[MlflowRun]:
    """Yield the run's handle and close it with the outcome of the Dagster run."""
    run = MlflowRun(context, Settings())
    failed = True
    try:
        yield run
        failed = False
    finally:
        run.end(failed=failed)
