"""What an everyday model takes over from research, and when it does not.

What belongs here: the frozen results of `selection` and `search` as files, the conditions they were found under, and what a model is
made with. What does not: finding them.

A result holds while every condition it was found under is what it was then: features mean the same, the policy prohibits, allows and
constrains the same. Otherwise the model is made as if there were none, and its account says which condition changed.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from creditrisk_assets.modelling.configuration import ModelConfig
from creditrisk_assets.modelling.inputs import InputChoice

NONE = "none"

Conditions = Mapping[str, str]  # what a result rests on -> its fingerprint


class FrozenSelection(BaseModel):
    """The list of a selection: `selection.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: Annotated[tuple[str, ...], Field(min_length=1)]  # largest gain first
    conditions: Conditions


class FoundParameters(BaseModel):
    """The outcome of a search: `search.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    parameters: Mapping[str, float]  # of LightGBM: those looked for
    better: bool  # than model.yaml, by the paired comparison
    words: str
    conditions: Conditions


@dataclass(frozen=True)
class Adopted:
    """What a model is made with, and which versions of research it comes from."""

    features: tuple[str, ...]  # offered to the model, in the order of the store
    parameters: Mapping[str, float]  # of LightGBM, in place of those of model.yaml
    selection: str  # version of the selection, or `none`
    selection_words: str
    search: str  # version of the search, or `none`
    search_words: str

    @property
    def versions(self) -> dict[str, str]:
        """Which versions of research the model comes from."""
        return {"selection": self.selection, "search": self.search}

    def choice(self, choice: InputChoice) -> InputChoice:
        """Leave the features of the list among those allowed."""
        offered = set(self.features)
        return replace(choice, allowed=tuple(i for i in choice.allowed if i.name in offered))

    def configuration(self, config: ModelConfig) -> ModelConfig:
        """Put the parameters into the configuration."""
        return config.with_lightgbm(self.parameters) if self.parameters else config

    def to_json(self) -> str:
        """Render as JSON."""
        return json.dumps(asdict(self), indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        content = json.loads(text)
        return cls(**{**content, "features": tuple(content["features"])})


def adopt(
    choice: InputChoice,
    conditions: Conditions,
    configuration: str,
    selection: tuple[str, FrozenSelection] | None,
    search: tuple[str, FoundParameters] | None,
) -> Adopted:
    """Decide what a model is made with.

    Parameters
    ----------
    choice
        Inputs the policy allows today.
    conditions
        What results of research rest on, as they are today.
    configuration
        Digest of model.yaml: parameters were compared with those in it.
    selection, search
        The published results with their versions; None: there is none.
    """
    allowed = tuple(item.name for item in choice.allowed)
    features, version, words = allowed, NONE, "no selection is published"
    if selection is not None:
        _, frozen = selection
        changed = _changed(frozen.conditions, conditions)
        if gone := sorted(set(frozen.features) - set(allowed)):
            changed = [*changed, f"{len(gone)} of its features are no inputs any more"]
        if changed:
            words = f"the published selection does not hold any more: {', '.join(changed)}"
        else:
            listed = set(frozen.features)
            features, version = tuple(name for name in allowed if name in listed), selection[0]
            words = f"{len(features)} of {len(allowed)} inputs"
    parameters, found, said = {}, NONE, "no search is published"
    if search is not None:
        now = search_conditions(conditions, configuration, version)
        if changed := _changed(search[1].conditions, now):
            said = f"the published search does not hold any more: {', '.join(changed)}"
        elif not search[1].better:
            said = search[1].words
        else:
            parameters, found, said = dict(search[1].parameters), search[0], search[1].words
    return Adopted(features, parameters, version, words, found, said)


def search_conditions(conditions: Conditions, configuration: str, selection: str) -> Conditions:
    """Return what a search rests on: the same, the parameters it was compared with, and the inputs."""
    return {**conditions, "configuration": configuration, "selection": selection}


def _changed(then: Conditions, now: Conditions) -> list[str]:
    return sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))
