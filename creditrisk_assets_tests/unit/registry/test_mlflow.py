"""MLflow: a training is logged whole, a version registered once, aliases move, the registered model scores as the bundle."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from creditrisk_assets.modelling.bundle import Bundle
from creditrisk_assets.modelling.bundle_writer import BundleContent, write_bundle
from creditrisk_assets.modelling.configuration import ModelConfig, load_configuration
from creditrisk_assets.modelling.evaluation import evaluate
from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.modelling.reference import reference_of
from creditrisk_assets.modelling.signing import public_bytes
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.modelling.training import Training
from creditrisk_assets.registry import versions
from creditrisk_assets.registry.promotion import GateFigures
from creditrisk_assets.registry.tracking import (
    LoggedTraining,
    TrackingError,
    data_tags,
    log_evaluation,
    log_training,
    logged_pds,
    quiet,
)
from creditrisk_assets_tests.unit.modelling.conftest import CHOICE, GENDER, draw_part, train_all

NAME = "credit-risk-pd"


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """MLflow on a database of its own."""
    with quiet():
        import mlflow

        home = tmp_path_factory.mktemp("mlflow")
        before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
        mlflow.set_tracking_uri(f"sqlite:///{home / 'mlflow.db'}")
        mlflow.set_registry_uri(f"sqlite:///{home / 'mlflow.db'}")
        experiment = mlflow.create_experiment("test", artifact_location=(home / "artifacts").as_uri())
        mlflow.set_experiment(experiment_id=experiment)
    yield mlflow
    mlflow.set_tracking_uri(before[0])
    mlflow.set_registry_uri(before[1])


@pytest.fixture(scope="module")
def config() -> ModelConfig:
    shipped = load_configuration()
    return shipped.model_copy(update={"trees": shipped.trees.model_copy(update={"maximum": 20})})


class Logged:
    """One training, its bundle and where MLflow keeps it."""

    def __init__(self, mlflow: ModuleType, config: ModelConfig, directory: Path, seed: int) -> None:
        self.part: Part = draw_part(800)
        self.training: Training = train_all(self.part, config.model_copy(update={"seed": seed}))
        model = self.training.model
        key = Ed25519PrivateKey.generate()
        content = BundleContent(
            NAME,
            model.model_text,
            model.features,
            {"families": {}, "tables": {}},
            load_policy(),
            model.calibrator,
            {},
            model.golden(self.part),
            reference_of({i.name: i.kind for i in model.inputs}, self.part.frame, None),
            {"training/x": "v"},
            "c",
        )
        self.bundle: Bundle = write_bundle(directory / "bundle", content, key)
        self.evaluation = evaluate(self.part.labels, model.predict(self.part.frame), load_policy())
        with mlflow.start_run():
            self.where: LoggedTraining = log_training(
                model, CHOICE, self.bundle, directory / "bundle", public_bytes(key), tags={"dagster_run_id": "run-1"}
            )
        log_evaluation(self.where.run_id, self.evaluation, {"roc": b"png"})

    @property
    def figures(self) -> GateFigures:
        return GateFigures.of(self.evaluation)

    def register(self) -> versions.RegisteredVersion:
        return versions.register(NAME, self.where, self.figures, data_tags(self.bundle))


@pytest.fixture(scope="module")
def logged(mlflow: ModuleType, config: ModelConfig, tmp_path_factory: pytest.TempPathFactory) -> Logged:
    return Logged(mlflow, config, tmp_path_factory.mktemp("first"), seed=1)


def test_a_training_is_logged_with_figures_hashes_and_pictures(mlflow: ModuleType, logged: Logged) -> None:
    run = mlflow.get_run(logged.where.run_id)
    assert run.data.metrics["auc"] == logged.evaluation.auc.value
    assert {"auc_low", "auc_high", "ks", "brier", "calibration_slope"} <= set(run.data.metrics)
    assert run.data.params["lightgbm.learning_rate"]
    assert run.data.tags["dagster_run_id"] == "run-1"
    assert run.data.tags["input.training/x"] == "v"
    assert run.data.tags["model_version"] == logged.bundle.version
    assert run.data.tags["policy_sha256"] == load_policy().digest
    client = mlflow.MlflowClient()
    assert {f.path for f in client.list_artifacts(logged.where.run_id)} >= {"plots", "inputs.json", "evaluation.json"}
    inputs = mlflow.artifacts.load_dict(f"runs:/{logged.where.run_id}/inputs.json")
    assert inputs["prohibited"] == {GENDER.name: ["CODE_GENDER"]}
    assert set(inputs["dropped"]) == {"application__constant", "application__empty"}


def test_without_an_active_run_nothing_is_logged(mlflow: ModuleType, logged: Logged, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no active run"):
        log_training(logged.training.model, CHOICE, logged.bundle, tmp_path, b"", tags={})
    assert mlflow.active_run() is None


def test_a_bundle_is_registered_once_and_is_the_candidate(logged: Logged) -> None:
    first, again = logged.register(), logged.register()
    assert first.version == again.version
    assert versions.by_alias(NAME, versions.CANDIDATE) == again
    assert again.figures == logged.figures
    assert again.model_version == logged.bundle.version


def test_an_alias_nobody_set_points_to_nothing(mlflow: ModuleType, logged: Logged) -> None:
    logged.register()
    assert versions.by_alias(NAME, "shadow") is None
    assert versions.by_alias("no such model", versions.CHAMPION) is None


def test_promotion_moves_the_champion_and_leaves_the_candidate(
    mlflow: ModuleType, logged: Logged, config: ModelConfig, tmp_path: Path
) -> None:
    first = logged.register()
    versions.set_alias(first, versions.CHAMPION)
    second = Logged(mlflow, config, tmp_path, seed=2).register()
    assert second.version > first.version
    assert versions.by_alias(NAME, versions.CHAMPION) == first
    versions.set_alias(second, versions.CHAMPION)
    assert versions.by_alias(NAME, versions.CHAMPION) == second
    assert versions.by_alias(NAME, versions.CANDIDATE) == second


def test_a_version_registered_by_hand_is_refused_by_number(mlflow: ModuleType, logged: Logged) -> None:
    with quiet():
        made = mlflow.register_model(logged.where.model_uri, "by-hand", await_registration_for=0)
        mlflow.MlflowClient().set_registered_model_alias("by-hand", "champion", made.version)
    with pytest.raises(versions.RegistryError, match="version 1 of by-hand"):
        versions.by_alias("by-hand", "champion")


def test_the_registered_model_scores_as_the_bundle_and_holds_no_pickle(mlflow: ModuleType, logged: Logged) -> None:
    version = logged.register()
    with quiet():
        model = mlflow.pyfunc.load_model(f"models:/{NAME}/{version.version}")
        local = Path(mlflow.artifacts.download_artifacts(logged.where.model_uri))
    frame = pd.DataFrame(
        {
            feature.name: logged.part.frame[feature.name]
            .head(20)
            .astype({"category": object, "boolean": bool, "numeric": float}[feature.kind])
            for feature in logged.bundle.features
        }
    )
    answer = model.predict(frame)
    assert np.array_equal(answer["pd"], logged.training.model.predict(logged.part.frame.head(20)))
    assert set(answer["decision"]) <= {"approve", "refer", "decline"}
    assert not [path for path in local.rglob("*") if path.suffix in {".pkl", ".pickle", ".joblib"}]


def test_the_logged_model_scores_a_part_as_the_bundle_unknown_values_and_all(logged: Logged) -> None:
    part = logged.part.take(np.arange(50))
    flags = part.frame["application__is_owner"].mask(part.frame.index % 7 == 0)
    kinds = part.frame["application__kind_category"].mask(part.frame.index % 5 == 0)
    frame = part.frame.assign(application__is_owner=flags, application__kind_category=kinds)
    found = logged_pds(logged.where.model_uri, logged.bundle.features, frame)
    assert np.array_equal(found, logged.training.model.predict(frame))
    assert not np.array_equal(found, logged.training.model.predict(part.frame))


def test_a_logged_model_that_is_gone_is_named_with_what_to_do(mlflow: ModuleType, logged: Logged) -> None:
    with pytest.raises(TrackingError, match=r"cannot load the model models:/m-gone .* delete model/pd"):
        logged_pds("models:/m-gone", logged.bundle.features, logged.part.frame)


def test_code_that_is_not_this_releases_is_not_run(mlflow: ModuleType, logged: Logged) -> None:
    code = Path(mlflow.artifacts.download_artifacts(logged.where.model_uri)) / "bundle_model.py"
    own = code.read_bytes()
    code.write_text("raise SystemExit('run')")
    try:
        with pytest.raises(TrackingError, match="the code the model was logged with is not this release's"):
            logged_pds(logged.where.model_uri, logged.bundle.features, logged.part.frame)
    finally:
        code.write_bytes(own)


def test_nothing_is_printed(logged: Logged, capsys: pytest.CaptureFixture[str]) -> None:
    logged.register()
    assert capsys.readouterr() == ("", "")
