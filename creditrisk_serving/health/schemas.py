"""What the routes about the service itself answer.

What belongs here: the shapes. What does not: what is told (`service`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec


class Liveness(msgspec.Struct, frozen=True):
    """That the process answers."""

    status: Literal["live"] = "live"


class Readiness(msgspec.Struct, frozen=True):
    """Whether requests can be answered, why not, and what is not as it should be though they can."""

    ready: bool
    reasons: Sequence[str]
    warnings: Sequence[str]
    model_version: str | None


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """One input of the model."""

    name: str
    family: str
    kind: str


class ModelInUse(msgspec.Struct, frozen=True, kw_only=True):
    """The model that answers."""

    name: str | None
    version: str
    created_at: str | None
    code_version: str | None
    bundle_sha256: str
    features: Sequence[Input]


class PolicyInUse(msgspec.Struct, frozen=True, kw_only=True):
    """The policy that decides."""

    version: str
    sha256: str
    bands: Sequence[Mapping[str, Any]]  # grades: name, and the PD they end below
    decisions: Mapping[str, float]  # approve_below, decline_from
    eligibility: Sequence[Mapping[str, Any]]  # the hard rules
    score: Mapping[str, float]  # the scale of points


class Contracts(msgspec.Struct, frozen=True, kw_only=True):
    """What a request is checked against; GET /schema has it in full."""

    sha256: str
    tables: Mapping[str, int]  # columns of each


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """How the model fared when it was made."""

    metrics: Mapping[str, Any]
    note: str | None


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """The data behind model and answers."""

    trained_on: Mapping[str, str]
    looked_up_in: Mapping[str, str] | None
    verified_at: str | None


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """What decides, and by what."""

    model: ModelInUse
    policy: PolicyInUse
    features: Mapping[str, str]  # family -> hash of its definition
    contracts: Contracts
    limits: Mapping[str, int]  # of one request
    training: Training
    data: Data
    schemas: Mapping[str, str]  # database -> the revision of its schema that this release reads
