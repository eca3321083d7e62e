"""What MLflow keeps of a training.

What belongs here: parameters, figures, plots, tags and the model of one training, logged into the run that is active.
What does not: the run's life (`resources`), registered versions and aliases (`versions`).
"""

import base64
import contextlib
import io
import logging
import os
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from creditrisk_assets.modelling.bundle import Bundle, BundleFeature
from creditrisk_assets.modelling.evaluation import Evaluation
from creditrisk_assets.modelling.inputs import InputChoice
from creditrisk_assets.modelling.training import TrainedModel

MODEL_CODE = Path(__file__).with_name("bundle_model.py")
REQUIREMENTS = ("creditrisk", "lightgbm", "numpy", "pandas", "cryptography", "pydantic", "pyyaml")
MODEL_NAME = "pd"
LONGEST_ANSWER = 300  # characters of an answer that are shown
TYPES = {"numeric": "double", "boolean": "boolean", "category": "string"}


class TrackingError(RuntimeError):
    """MLflow did not do what it was asked, or does not hold what was logged; the message says so, without credentials."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code  # MLflow's own, such as RESOURCE_DOES_NOT_EXIST


@dataclass(frozen=True)
class LoggedTraining:
    """Where MLflow keeps a training."""

    run_id: str
    model_id: str
    model_uri: str


def log_training(
    model: TrainedModel,
    choice: InputChoice,
    bundle: Bundle,
    bundle_path: Path,
    public_key: bytes,
    *,
    tags: Mapping[str, str],
) -> LoggedTraining:
    """Log a training into MLflow's active run.

    Parameters
    ----------
    model, choice
        What was trained, on which inputs.
    bundle, bundle_path, public_key
        The signed bundle, which is the model, and the key it verifies with.
    tags
        Further tags: `dagster_run_id`, code and contract hashes.

    Raises
    ------
    RuntimeError
        No run is active: without one MLflow would begin its own, which nobody ends.
    """
    import mlflow  # noqa: PLC0415 - seconds of imports, for logging alone

    run = mlflow.active_run()
    if run is None:
        raise RuntimeError("MLflow has no active run; open one before logging the training")
    with quiet():
        mlflow.log_params(parameters(model))
        mlflow.set_tags({**data_tags(bundle), **tags})
        mlflow.log_dict(_inputs(model, choice), "inputs.json")
        info = mlflow.pyfunc.log_model(
            name=MODEL_NAME,
            python_model=str(MODEL_CODE),
            artifacts={"bundle": str(bundle_path)},
            model_config={"public_key": base64.b64encode(public_key).decode()},
            signature=signature(bundle),
            pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
        )
    return LoggedTraining(run.info.run_id, info.model_id, info.model_uri)


def log_evaluation(run_id: str, evaluation: Evaluation, plots: Mapping[str, bytes]) -> None:
    """Add an evaluation to the MLflow run of the training, which may have ended long ago.

    Parameters
    ----------
    run_id
        The training's run.
    evaluation
        Its figures become metrics.
    plots
        Name -> PNG.
    """
    import mlflow  # noqa: PLC0415 - seconds of imports, for logging alone

    client = mlflow.MlflowClient()
    with quiet(), tempfile.TemporaryDirectory() as directory:
        for name, figure in evaluation.figures().items():
            client.log_metric(run_id, name, figure)
        for name, png in plots.items():
            (Path(directory) / f"{name}.png").write_bytes(png)
        client.log_artifacts(run_id, directory, "plots")
        client.log_dict(run_id, evaluation.to_dict(), "evaluation.json")


def logged_pds(model_uri: str, features: Sequence[BundleFeature], frame: pd.DataFrame) -> NDArray[np.float64]:
    """Score features by a logged model, through MLflow and its signature, as anybody would who loads it.

    MLflow runs the code that a model was logged with, so it must be this release's own, and no pickle.

    Parameters
    ----------
    model_uri
        Of the logged model.
    features
        The bundle's: which columns are categories and flags.
    frame
        (n, …) features as `tables.Part` holds them: numbers and flags as floats, categories as categoricals.

    Returns
    -------
    ndarray
        (n,) PDs.

    Raises
    ------
    TrackingError
        The model cannot be loaded, or its code is not this release's.
    """
    import mlflow  # noqa: PLC0415 - seconds of imports, for MLflow's own model alone

    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    columns = {feature.name: _as_signed(frame[feature.name], feature.kind) for feature in features}
    try:
        with quiet(), tempfile.TemporaryDirectory() as directory:
            copy = Path(mlflow.artifacts.download_artifacts(model_uri, dst_path=directory))
            if (copy / MODEL_CODE.name).read_bytes() != MODEL_CODE.read_bytes():
                raise TrackingError("the code the model was logged with is not this release's")
            model = mlflow.pyfunc.load_model(str(copy))
    except (TrackingError, OSError) as error:
        raise TrackingError(
            f"MLflow cannot load the model {model_uri} ({error}); see that its server answers, or delete model/pd"
            " in the lake to train and log it again"
        ) from None
    with quiet():
        answer = model.predict(pd.DataFrame(columns))
    return np.asarray(answer["pd"], dtype=np.float64)


def _as_signed(column: "pd.Series[Any]", kind: str) -> "pd.Series[Any]":
    """Give a column the type of the signature; an unknown flag or category is None."""
    if kind == "numeric":
        return column.astype(np.float64)
    kept = [
        None if missing else bool(value) if kind == "boolean" else value
        for value, missing in zip(column, column.isna(), strict=True)
    ]
    return pd.Series(kept, index=column.index, dtype=object)


def launched_by(run_id: str) -> str | None:
    """Return who launched a training; None: an earlier release did not note it."""
    import mlflow  # noqa: PLC0415 - seconds of imports, for MLflow alone

    with quiet():
        found: str | None = mlflow.get_run(run_id).data.tags.get("launched_by")
    return found


def parameters(model: TrainedModel) -> dict[str, Any]:
    """Flatten what the model was trained with."""
    flat: dict[str, Any] = {}
    for section, values in model.config.model_dump(mode="json").items():
        items = values.items() if isinstance(values, dict) else [("", values)]
        flat |= {f"{section}.{name}" if name else section: value for name, value in items}
    found = {"trees.fitted": model.search.trees, "trees.reason": model.search.reason}
    size = {"rows": model.rows, "defaults": model.defaults, "inputs": len(model.inputs), "dropped": len(model.dropped)}
    return {**flat, **found, **size}


def data_tags(bundle: Bundle) -> dict[str, str]:
    """Tag a run or a version with every hash that made the model what it is."""
    inputs = {f"input.{key}": version for key, version in bundle.manifest["inputs"].items()}
    return {
        "model_version": bundle.version,
        "code_version": bundle.manifest["code_version"],
        "policy_sha256": bundle.policy.digest,
        "model_sha256": bundle.manifest["files"]["model.txt"],
        "plan_sha256": bundle.manifest["files"]["plan.json"],
        **inputs,
    }


def signature(bundle: Bundle) -> Any:
    """Make MLflow's signature from the bundle: every input by name, all of them optional (NULL is a value)."""
    from mlflow.models import ModelSignature  # noqa: PLC0415 - seconds of imports, for logging alone
    from mlflow.types import ColSpec, Schema  # noqa: PLC0415

    inputs = [ColSpec(TYPES[feature.kind], feature.name, required=False) for feature in bundle.features]
    outputs = [ColSpec("double", "pd"), ColSpec("string", "decision"), ColSpec("string", "band")]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow's advice, progress bars and prints out of the platform's output.

    Raises
    ------
    TrackingError
        In place of MLflow's own exception, whose text may hold the credentials of an address.
    """
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - seconds of imports, for logging alone

    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    logger = logging.getLogger("mlflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    except MlflowException as error:
        answer = re.sub(r"//[^/@\s]*@", "//", " ".join(str(error).split()))
        words = f"MLflow answered {error.error_code}: {answer[:LONGEST_ANSWER]}"
        raise TrackingError(f"{words}; nothing was published, so mend it and run again", error.error_code) from None
    finally:
        logger.setLevel(level)


def _inputs(model: TrainedModel, choice: InputChoice) -> dict[str, Any]:
    return {
        "used": [i.name for i in model.inputs],
        "dropped": dict(model.dropped),
        "prohibited": {i.name: list(choice.attributes[i.name]) for i in choice.prohibited},
        "allowed_with_reason": dict(choice.reasons),
    }
