"""What the research job tries: the frozen form of `research.yaml`, and the applicants it looks at.

What belongs here: budgets, and who is looked at. What does not: the model in use (`configuration`), what is tried (a module for each).
"""

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from creditrisk_assets.modelling.configuration import ConfigurationError
from creditrisk_assets.modelling.folds import assign_folds
from creditrisk_assets.modelling.tables import Part

DEFAULT_PATH = Path(__file__).with_name("research.yaml")


class LearnedBudget(BaseModel):
    """What features that are fitted may spend (`modelling.learned`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folds: Annotated[int, Field(ge=2, le=20)]
    neighbours: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
    smallest_group: Annotated[int, Field(ge=1)]
    smoothing: Annotated[float, Field(gt=0)]
    trees: Annotated[int, Field(ge=1)]
    leaves: Annotated[int, Field(ge=2)]
    learning_rate: Annotated[float, Field(gt=0)]
    rows_per_leaf: Annotated[int, Field(ge=1)]
    history_rows: Annotated[int, Field(ge=1000)]


class LadderBudget(BaseModel):
    """How the models of the ablation ladder are fitted (`modelling.ladder`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: Annotated[float, Field(gt=0)]
    maximum_trees: Annotated[int, Field(ge=1)]
    stop_after: Annotated[int, Field(ge=1)]
    learned: LearnedBudget


class ResearchConfig(BaseModel):
    """The budgets as one value; equal content has one `digest`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    applicants: Annotated[int, Field(ge=1000)]
    ladder: LadderBudget

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content, whatever the file's comments and layout."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


def load_research(path: Path | None = None) -> ResearchConfig:
    """Read the research budgets; None: those beside this module.

    Raises
    ------
    ConfigurationError
        The file cannot be read or a field is wrong.
    """
    where = path or DEFAULT_PATH
    try:
        return ResearchConfig.model_validate(yaml.safe_load(where.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"the research budgets {where} cannot be read: {error}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        raise ConfigurationError(f"the research budgets {where} are not valid: {problems}") from error


def research_part(part: Part, config: ResearchConfig) -> Part:
    """Return the applicants research looks at: the part, or as many of it as the budget allows, with its default rate.

    Parameters
    ----------
    part
        The training part, with TARGET.
    config
        The budget. Another seed draws others.
    """
    if len(part) <= config.applicants:
        return part
    pieces = 1000
    piece = assign_folds(part.ids, part.labels, pieces, f"research/{config.seed}")
    return part.take(np.flatnonzero(piece < round(pieces * config.applicants / len(part))))
