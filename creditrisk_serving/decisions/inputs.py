"""What a decision saw: the numbers of the model's inputs, named by a layout that the log keeps once.

What belongs here: layouts, packing and naming. What does not: where layouts are kept (`database`, `log`), how features become numbers
(`scoring.slots`).

A record names some thousand inputs in the bytes of their numbers: with each name beside its number it would be five times as long, and
rendering, hashing, sealing and storing it cost more than scoring.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from creditrisk_assets.modelling.bundle import BundleFeature

_ENCODER = msgspec.json.Encoder()


class Layout(msgspec.Struct, frozen=True):
    """The inputs of a model in their order; its id is the hash of its JSON, so that it cannot change under a record."""

    inputs: Sequence[str]
    booleans: Sequence[int]  # places
    categories: Mapping[str, Sequence[str]]  # input -> the names its numbers stand for


class Packed(msgspec.Struct, frozen=True):
    """What one decision saw."""

    layout: str
    inputs: bytes  # float32, little-endian, NaN where unknown
    rules: Mapping[str, float | None]  # what hard rules looked at, null where unknown
    contributions: Sequence[tuple[str, float]] | None = None  # what raised the PD most; null: it was not explained


def layout_of(features: Sequence[BundleFeature]) -> tuple[str, bytes]:
    """Return the id and the JSON of a model's layout."""
    layout = Layout(
        [feature.name for feature in features],
        [place for place, feature in enumerate(features) if feature.kind == "boolean"],
        {feature.name: list(feature.categories or ()) for feature in features if feature.kind == "category"},
    )
    content = msgspec.json.encode(layout)
    return hashlib.sha256(content).hexdigest(), content


def packed(
    layout: str,
    numbers: NDArray[np.float32],
    rules: Mapping[str, float | None],
    contributions: Sequence[tuple[str, float]] | None = None,
) -> msgspec.Raw:
    """Render what a decision saw."""
    seen = numbers.astype("<f4", copy=False).tobytes()
    return msgspec.Raw(_ENCODER.encode(Packed(layout, seen, rules, contributions)))


def numbers(found: Packed) -> NDArray[np.float32]:
    """Return the inputs as the model saw them, one row."""
    return np.frombuffer(found.inputs, "<f4").astype(np.float32)[np.newaxis]


def named(features: Mapping[str, Any], layout: bytes) -> dict[str, Any]:
    """Name what a decision saw: input or feature -> number, boolean or category; None where unknown.

    Raises
    ------
    ValueError
        It is of another layout.
    """
    found = msgspec.convert(features, Packed)
    if hashlib.sha256(layout).hexdigest() != found.layout:
        raise ValueError("the layout is not the one the decision names")
    known = msgspec.json.decode(layout, type=Layout)
    values: list[Any] = np.frombuffer(found.inputs, "<f4").tolist()
    result: dict[str, Any] = {
        name: None if value != value else value  # noqa: PLR0124 - NaN
        for name, value in zip(known.inputs, values, strict=True)
    }
    for place in known.booleans:
        if (value := result[known.inputs[place]]) is not None:
            result[known.inputs[place]] = bool(value)
    for name, categories in known.categories.items():
        if result[name] is not None:
            result[name] = categories[int(result[name])]
    return {**found.rules, **result}
