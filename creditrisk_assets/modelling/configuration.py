"""Hyper-parameters of the model and limits of its leak tests: the frozen form of `model.yaml`.

What belongs here: what is tuned, and from when a training is not to be believed. What does not: cut-offs and gates
(`policy`), threads and paths (settings).
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from creditrisk_assets.modelling.folds import FoldPlan
from creditrisk_assets.modelling.policy import Allowance

DEFAULT_PATH = Path(__file__).with_name("model.yaml")

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Content = TypeVar("Content", bound=BaseModel)


class ConfigurationError(ValueError):
    """A model configuration is missing or does not parse; the message names the file and the field."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Resampling(_Frozen):
    """What is done to the classes before the fit, inside the training folds only."""

    method: Literal["none", "weighted", "undersample", "smote", "smote_undersample"]
    minority_share: Annotated[float, Field(gt=0, le=0.5)]
    smote_share: Annotated[float, Field(gt=0, le=0.5)]
    neighbours: Count


class LightGBM(_Frozen):
    """Parameters handed to LightGBM under its own names."""

    learning_rate: Positive
    num_leaves: Annotated[int, Field(ge=2)]
    min_child_samples: Count
    min_child_weight: NotNegative
    feature_fraction: Share
    bagging_fraction: Share
    bagging_freq: Annotated[int, Field(ge=0)]
    lambda_l1: NotNegative
    lambda_l2: NotNegative
    max_bin: Annotated[int, Field(ge=15, le=255)]
    subsample_for_bin: Annotated[int, Field(ge=10_000)]
    path_smooth: NotNegative

    def with_values(self, values: Mapping[str, float]) -> Self:
        """Return these parameters with other values of some.

        Raises
        ------
        ValueError
            A name is no parameter of this section, or a value is out of range.
        """
        return type(self).model_validate({**self.model_dump(), **values})


class Validation(FoldPlan):
    """How the training part is divided for cross-validation, and which AUC out of fold is to be believed."""

    lowest_auc: Annotated[float, Field(ge=0.5, lt=1)]
    highest_auc: Annotated[float, Field(gt=0.5, le=1)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.lowest_auc >= self.highest_auc:
            raise ValueError("lowest_auc must lie below highest_auc")
        return self


class Trees(_Frozen):
    """How the number of trees is found."""

    maximum: Count
    stop_after: Count
    minimum_defaults: Count
    fallback: Count
    refit_factor: Annotated[float, Field(ge=1, le=2)]


class LeakLimits(_Frozen):
    """From when something tells the outcome that should not; `leaks` measures it."""

    honest_auc: Annotated[float, Field(ge=0.5, lt=1)]
    ceiling: Annotated[float, Field(ge=0.5, le=0.9)]
    false_alarm_rate: Annotated[float, Field(gt=0, le=0.01)]
    shuffled_applicants: Annotated[int, Field(ge=1000)]
    shuffled_trees: Count
    allowances: tuple[Allowance, ...] = ()

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.honest_auc > self.ceiling:
            raise ValueError("honest_auc must not lie above ceiling")
        return self

    def allowed(self, today: date) -> dict[str, Allowance]:
        """Return the allowances in force on a day, by feature; one that expired allows nothing."""
        return {allowance.feature: allowance for allowance in self.allowances if today < allowance.expires}


class ModelConfig(_Frozen):
    """The configuration as one value; equal content has one `digest`."""

    version: Count
    seed: Annotated[int, Field(ge=0, lt=2**30)]
    seeds: Annotated[int, Field(ge=1, le=20)]
    resampling: Resampling
    lightgbm: LightGBM
    validation: Validation
    trees: Trees
    leaks: LeakLimits

    def with_lightgbm(self, values: Mapping[str, float]) -> Self:
        """Return the configuration with other values of some of LightGBM's parameters, and all else as it is.

        Raises
        ------
        ValueError
            As `LightGBM.with_values`.
        """
        # not `model_copy`, which would copy a digest computed before
        return type(self).model_validate({**self.model_dump(), "lightgbm": self.lightgbm.with_values(values)})

    def alone(self, number: int) -> Self:
        """Return the configuration of one of the models that are averaged: a seed of its own, and all else as it is."""
        return type(self).model_validate({**self.model_dump(), "seed": self.seed + number, "seeds": 1})

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content, whatever the file's comments and layout."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


def load_configuration(path: Path | None = None) -> ModelConfig:
    """Read a model configuration; None: the one beside this module.

    Raises
    ------
    ConfigurationError
        The file cannot be read or a field is wrong.
    """
    return read_yaml(path or DEFAULT_PATH, ModelConfig, "the model configuration")


def read_yaml(where: Path, model: type[Content], what: str) -> Content:
    """Read a YAML file into a frozen model; `what` names it in errors.

    Raises
    ------
    ConfigurationError
        The file cannot be read or a field is wrong.
    """
    try:
        return model.model_validate(yaml.safe_load(where.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{what} {where} cannot be read: {error}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        raise ConfigurationError(f"{what} {where} is not valid: {problems}") from error
