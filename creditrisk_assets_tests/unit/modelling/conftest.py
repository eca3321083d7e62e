"""Synthetic applicants, one model trained on them, and its signed bundle."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from creditrisk_assets.features.families import FeatureSpec
from creditrisk_assets.modelling.bundle import Bundle
from creditrisk_assets.modelling.bundle_writer import BundleContent, write_bundle
from creditrisk_assets.modelling.configuration import ModelConfig, load_configuration
from creditrisk_assets.modelling.cross_validation import cross_validate
from creditrisk_assets.modelling.explanation.compile import compile_explainer
from creditrisk_assets.modelling.explanation.principal import ReasonBook
from creditrisk_assets.modelling.explanation.reasons import catalogue
from creditrisk_assets.modelling.explanation.reasons import compared as compared_with
from creditrisk_assets.modelling.explanation.reference_set import ReferenceSet, choose_reference
from creditrisk_assets.modelling.inputs import InputChoice, ModelInput
from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.modelling.reference import reference_of
from creditrisk_assets.modelling.signing import public_bytes
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.modelling.training import Training, train

INPUTS = (
    ModelInput("application__score", "application", "numeric"),
    ModelInput("application__income_amt", "application", "numeric"),
    ModelInput("application__kind_category", "application", "category"),
    ModelInput("application__is_owner", "application", "boolean"),
    ModelInput("application__constant", "application", "numeric"),
    ModelInput("application__empty", "application", "numeric"),
)
CUT_OFF = 0.2  # at the policy's, too few of these applicants would be approved to compare with
GENDER = ModelInput("application__gender_category", "application", "category")
CHOICE = InputChoice(INPUTS, (GENDER,), {GENDER.name: ("CODE_GENDER",)}, {})


def draw_part(rows: int, seed: int = 0) -> Part:
    """Draw applicants whose risk depends on score, kind and gender; a tenth of the scores is missing."""
    random = np.random.default_rng(seed)
    score = random.normal(size=rows)
    kind = random.choice(["Cash loans", "Revolving loans", "Other"], rows, p=[0.6, 0.3, 0.1])
    gender = random.choice(["F", "M"], rows)
    risk = -1.5 + score + 0.8 * (kind == "Other") + 0.8 * (gender == "M")
    frame = pd.DataFrame(
        {
            "application__score": np.where(random.random(rows) < 0.1, np.nan, score).astype(np.float32),
            "application__income_amt": random.lognormal(10, 1, rows).astype(np.float32),
            "application__kind_category": pd.Categorical(kind),
            "application__is_owner": random.integers(0, 2, rows).astype(np.float32),
            "application__constant": np.ones(rows, np.float32),
            "application__empty": np.full(rows, np.nan, np.float32),
            "application__gender_category": pd.Categorical(gender),
        }
    )
    target = (random.random(rows) < 1 / (1 + np.exp(-risk))).astype(np.int64)
    return Part(np.arange(rows), target, frame)


def train_all(part: Part, config: ModelConfig, *, threads: int = 1) -> Training:
    """Cross-validate and train, as the graph does."""
    found = cross_validate(part, CHOICE.allowed, config, threads=threads)
    return train(part, CHOICE, config, found.search, found.calibration.calibrator, threads=threads)


@dataclass(frozen=True)
class Written:
    """A bundle on disk with its key."""

    path: Path
    key: Ed25519PrivateKey
    content: BundleContent
    bundle: Bundle

    @property
    def public(self) -> bytes:
        return public_bytes(self.key)


@pytest.fixture(scope="session")
def config() -> ModelConfig:
    shipped = load_configuration()
    trees = shipped.trees.model_copy(update={"maximum": 40, "stop_after": 10})
    return shipped.model_copy(update={"trees": trees})


@pytest.fixture(scope="session")
def part() -> Part:
    return draw_part(1500)


@pytest.fixture(scope="session")
def training(part: Part, config: ModelConfig) -> Training:
    return train_all(part, config)


@pytest.fixture(scope="session")
def compared(training: Training, part: Part) -> ReferenceSet:
    return choose_reference(training.model, part, CUT_OFF)


@pytest.fixture(scope="session")
def reasons(training: Training, compared: ReferenceSet) -> ReasonBook:
    inputs = training.model.inputs
    specs = [
        FeatureSpec(i.name, i.family, "count", i.kind, "DOUBLE", True, i.name.partition("__")[2], None, None, "")
        for i in inputs
    ]
    return compared_with(catalogue([i.name for i in inputs], specs), compared.rows, {})


@pytest.fixture(scope="session")
def content(training: Training, part: Part, compared: ReferenceSet, reasons: ReasonBook) -> BundleContent:
    return BundleContent(
        name="credit-risk-pd",
        model_text=training.model.model_text,
        features=training.model.features,
        plan={"families": {}, "tables": {}},
        policy=load_policy(),
        calibrator=training.model.calibrator,
        metrics={"auc": 0.75},
        golden=training.model.golden(part),
        reference=reference_of({i.name: i.kind for i in training.model.inputs}, part.frame, None),
        inputs={"training/split_train": "abc"},
        code_version="code",
        explainer=compile_explainer(training.model.model_text, compared.rows),
        reference_applicants=compared.facts(),
        reasons=reasons,
    )


@pytest.fixture
def written(content: BundleContent, tmp_path: Path) -> Written:
    key = Ed25519PrivateKey.generate()
    path = tmp_path / "bundle"
    return Written(path, key, content, write_bundle(path, content, key, created_at=datetime(2026, 5, 3, tzinfo=UTC)))


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1})
