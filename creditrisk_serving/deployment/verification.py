"""Whether the service that answers at an address is the one that was released.

What belongs here: what is asked of it, from outside, and what must come back. What does not: how it got there (`ecs`).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from creditrisk_serving.client import Client, ClientError

TOLERANCE = 1e-9  # batch and request agree to this
ROUNDS = 3  # each on a connection of its own: a load balancer has more than one process behind it


@dataclass(frozen=True)
class Address:
    """Where callers reach the service."""

    url: str
    api_key: str = field(repr=False)


@dataclass(frozen=True)
class Expected:
    """What the released service must be and say."""

    model_version: str
    bundle_sha256: str
    pds: Mapping[int, float]  # SK_ID_CURR -> PD: the golden rows, by the same bundle


@dataclass(frozen=True)
class Patience:
    """How long a release may take, in seconds."""

    rollout: float = 900.0
    verification: float = 180.0
    answer: float = 10.0
    between: float = 5.0


@dataclass(frozen=True)
class Step:
    """One thing that was asked or done, and how it went."""

    name: str
    passed: bool
    words: str


def verify(address: Address, expected: Expected, patience: Patience) -> list[Step]:
    """Ask a service whether it is healthy, which model it uses, and the PDs of the golden rows; again, until all is right or time is up.

    Returns
    -------
    list of Step
        `healthy`, `model_hash`, `golden_rows`, of the last look; what a failed one makes pointless is left out. Golden rows are asked of
        POST /what-if, which stores nothing.
    """
    deadline = time.monotonic() + patience.verification
    while True:
        steps = _look(address, expected, patience.answer)
        if all(step.passed for step in steps) or time.monotonic() + patience.between >= deadline:
            return steps
        time.sleep(patience.between)


def answers(address: Address, patience: Patience) -> Step:
    """Ask until a service is ready, whatever it serves."""
    deadline = time.monotonic() + patience.verification
    while not (step := _step("healthy", _healthy, address, patience.answer)).passed:
        if time.monotonic() + patience.between >= deadline:
            return step
        time.sleep(patience.between)
    return step


def schemas(address: Address, patience: Patience) -> Mapping[str, str]:
    """Return which revision of each database the service that answers now reads; nothing where it does not say."""
    try:
        with Client(address.url, address.api_key, timeout=patience.answer, retries=0) as client:
            return client.metadata().schemas
    except ClientError:
        return {}


def _look(address: Address, expected: Expected, timeout: float) -> list[Step]:
    def model(client: Client) -> str:
        return _model(client, expected)

    def golden(client: Client) -> str:
        return _golden(client, expected)

    steps: list[Step] = []
    asked: Sequence[tuple[str, Callable[[Client], str]]] = (
        ("healthy", _healthy),
        ("model_hash", model),
        ("golden_rows", golden),
    )
    for name, question in asked:
        steps.append(_step(name, question, address, timeout))
        if not steps[-1].passed:
            break
    return steps


def _step(name: str, question: Callable[[Client], str], address: Address, timeout: float) -> Step:
    words = ""
    try:
        for _ in range(ROUNDS):
            with Client(address.url, address.api_key, timeout=timeout, retries=0) as client:
                words = question(client)
    except (ClientError, _UnlikeExpectedError) as error:
        return Step(name, passed=False, words=str(error).splitlines()[0])
    return Step(name, passed=True, words=words)


class _UnlikeExpectedError(Exception):
    """The service answers, but not what was released."""


def _healthy(client: Client) -> str:
    client.health()
    ready = client.ready()
    if not ready.ready:
        raise _UnlikeExpectedError(f"not ready: {'; '.join(ready.reasons)}")
    return f"ready with model {ready.model_version}"


def _model(client: Client, expected: Expected) -> str:
    model = client.metadata().model
    _require_bundle(model.version, model.bundle_sha256, expected)
    return f"model {model.version}, bundle {model.bundle_sha256[:12]}"


def _require_bundle(version: str, sha256: str, expected: Expected) -> None:
    if sha256 != expected.bundle_sha256:
        raise _UnlikeExpectedError(
            f"it uses model {version} (bundle {sha256[:12]}), not {expected.model_version} (bundle {expected.bundle_sha256[:12]})"
        )


def _golden(client: Client, expected: Expected) -> str:
    """Compare PDs; words name neither applicants nor values."""
    answer = client.what_if(applicant_ids=sorted(expected.pds))
    _require_bundle(answer.model_version, answer.bundle_sha256, expected)
    if answer.failed:
        raise _UnlikeExpectedError(f"{answer.failed} of {len(expected.pds)} golden rows got no PD")
    gaps = [abs(one.pd - expected.pds[one.applicant_id]) for one in answer.estimates]
    if len(gaps) != len(expected.pds) or not all(gap <= TOLERANCE for gap in gaps):
        wrong = sum(not gap <= TOLERANCE for gap in gaps) + len(expected.pds) - len(gaps)
        raise _UnlikeExpectedError(
            f"{wrong} of {len(expected.pds)} golden rows have another PD than the batch scores, by up to {max(gaps, default=0):.3g}"
        )
    return f"{len(gaps)} PDs equal those of the batch scores to {TOLERANCE:g}"
