"""One release on Amazon ECS: migrate, swap the image, wait, verify through the load balancer, roll back by itself.

What belongs here: what is asked of ECS, and when a release counts as failed. What does not: what a good service answers
(`verification`), where the target's name comes from (`creditrisk_serving.settings`), Dagster (`creditrisk_serving.defs.deployment`).

A deployment that ECS calls finished proves nothing: its circuit breaker finishes by going back to the old tasks. So a release counts when
the service runs the new task definition alone, and what callers reach has the model and the PDs expected.

The new image's own migration runs first, as one task that is waited for. A release that goes back takes the schemas back too, by the new
image, which alone knows the steps: the old one would not start on them.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from creditrisk_serving.decisions.database import SCHEMA as DECISIONS
from creditrisk_serving.deployment.verification import Address, Expected, Patience, Step, answers, schemas, verify
from creditrisk_serving.online.store import SCHEMA as ONLINE

State = Literal["released", "unchanged", "not begun", "rolled back", "stuck"]
MIGRATE = ("migrate",)  # the command of the image
PLACED_AS = (
    "launchType",
    "capacityProviderStrategy",
    "networkConfiguration",
    "platformVersion",
)  # a task beside the service
HEADS = {schema.name: schema.head for schema in (DECISIONS, ONLINE)}  # of this release
# What ECS tells of a task definition and does not take back.
TOLD_ONLY = frozenset(
    {
        "compatibilities",
        "deregisteredAt",
        "registeredAt",
        "registeredBy",
        "requiresAttributes",
        "revision",
        "status",
        "taskDefinitionArn",
    }
)


class DeploymentError(RuntimeError):
    """Nothing could be released, and nothing was changed; the message says why and what to do."""


@dataclass(frozen=True)
class Target:
    """One service of ECS, and how callers reach it."""

    cluster: str
    service: str
    container: str
    address: Address


@dataclass(frozen=True)
class Outcome:
    """What became of a release."""

    state: State
    image: str
    task_definition_before: str
    task_definition: str  # what runs now, as far as is known
    steps: Sequence[Step] = field(default_factory=tuple)

    @property
    def good(self) -> bool:
        """Whether the image asked for runs and answers as it must."""
        return self.state in {"released", "unchanged"} and all(step.passed for step in self.steps)

    @property
    def words(self) -> str:
        """One sentence."""
        failed = "; ".join(f"{step.name}: {step.words}" for step in self.steps if not step.passed)
        return f"{self.image} {self.state}" + (f" ({failed})" if failed else "")


def live_image(ecs: Any, target: Target) -> str:
    """Return the image that the service's task definition names.

    Raises
    ------
    DeploymentError
        There is no such service or container.
    """
    return _image(_task_definition(ecs, _service(ecs, target)["taskDefinition"]), target)


def release(
    ecs: Any, target: Target, image: str, expected: Expected, patience: Patience, *, last_good: str | None = None
) -> Outcome:
    """Have the service run an image, and prove that what callers reach is it; otherwise have it run again what it ran before.

    Parameters
    ----------
    ecs
        A boto3 client.
    image
        Image reference; by digest, so that it cannot change meanwhile.
    last_good
        Task definition to go back to when the image runs already and fails: that of the last verified release.

    Raises
    ------
    DeploymentError
        The target is not there, or refuses the new task definition; nothing was changed.
    """
    before = _service(ecs, target)["taskDefinition"]
    definition = _task_definition(ecs, before)
    if _image(definition, target) == image:
        steps = [_rolled_out(ecs, target, before, patience)]
        steps += verify(target.address, expected, patience) if steps[-1].passed else []
        if all(step.passed for step in steps) or last_good in {None, before}:
            return Outcome("unchanged", image, before, before, steps)
        return _roll_back(ecs, target, Outcome("unchanged", image, str(last_good), before, steps), patience)
    reads = schemas(target.address, patience)
    after = _register(ecs, _with_image(definition, target, image))
    steps = [_task(ecs, target, after, MIGRATE, patience, "migration")]
    if not steps[-1].passed:
        return Outcome("not begun", image, before, before, steps)
    try:
        ecs.update_service(cluster=target.cluster, service=target.service, taskDefinition=after)
        steps.append(_rolled_out(ecs, target, after, patience))
        if steps[-1].passed:
            steps += verify(target.address, expected, patience)
    except (BotoCoreError, ClientError) as error:
        steps.append(Step("rollout", passed=False, words=f"ECS refused or was not reached ({_cause(error)})"))
    outcome = Outcome("released", image, before, after, steps)
    return outcome if outcome.good else _roll_back(ecs, target, outcome, patience, reads)


def _roll_back(
    ecs: Any, target: Target, failed: Outcome, patience: Patience, reads: Mapping[str, str] | None = None
) -> Outcome:
    """Have the service run what it ran before, on the schemas it reads, also where ECS did so by itself: only its answer proves it."""
    before, steps = failed.task_definition_before, list(failed.steps)
    for name, revision in sorted((reads or {}).items()):
        if revision != HEADS.get(name):
            back = (*MIGRATE, "--to", revision)
            steps.append(_task(ecs, target, failed.task_definition, back, patience, "migration back"))
    try:
        ecs.update_service(cluster=target.cluster, service=target.service, taskDefinition=before)
        steps.append(_rolled_out(ecs, target, before, patience, name="rollback"))
        if steps[-1].passed:
            steps.append(answers(target.address, patience))
    except (BotoCoreError, ClientError) as error:
        steps.append(Step("rollback", passed=False, words=f"ECS refused or was not reached ({_cause(error)})"))
    if steps[-1].passed:
        return Outcome("rolled back", failed.image, before, before, steps)
    return Outcome("stuck", failed.image, before, failed.task_definition, steps)


def _rolled_out(ecs: Any, target: Target, wanted: str, patience: Patience, name: str = "rollout") -> Step:
    """Wait until the service runs one task definition alone, or gives it up; an answer that fails to come is waited for."""
    deadline = time.monotonic() + patience.rollout
    taken_up, unreached = False, ""
    while True:
        try:
            service = _service(ecs, target)
        except DeploymentError as error:
            unreached = f"; at last: {error}"
        else:
            unreached = ""
            if _alone(service, wanted):
                words = f"{service['desiredCount']} tasks of {_short(wanted)} run, and no others"
                return Step(name, passed=True, words=words)
            taken_up = taken_up or service["taskDefinition"] == wanted
            if (failure := _given_up(service, wanted, taken_up=taken_up)) is not None:
                return Step(name, passed=False, words=failure)
        if time.monotonic() + patience.between >= deadline:
            return Step(
                name, passed=False, words=f"{_short(wanted)} did not run within {patience.rollout:g} s{unreached}"
            )
        time.sleep(patience.between)


def _task(ecs: Any, target: Target, definition: str, command: Sequence[str], patience: Patience, name: str) -> Step:
    """Run a command of the image as one task beside the service, and wait for its exit code."""
    words = f"`creditrisk {' '.join(command)}`"
    try:
        service = _service(ecs, target)
        answer = ecs.run_task(
            cluster=target.cluster,
            taskDefinition=definition,
            count=1,
            startedBy="creditrisk-deploy",
            overrides={"containerOverrides": [{"name": target.container, "command": list(command)}]},
            **{placed: service[placed] for placed in PLACED_AS if service.get(placed)},
        )
        if answer.get("failures"):
            return Step(name, passed=False, words=f"{words} was not started: {answer['failures'][0].get('reason')}")
        return _exited(ecs, target, answer["tasks"][0]["taskArn"], patience, Step(name, passed=True, words=words))
    except (BotoCoreError, ClientError, DeploymentError) as error:
        cause = error if isinstance(error, DeploymentError) else f"ECS refused or was not reached ({_cause(error)})"
        return Step(name, passed=False, words=f"{words}: {cause}")


def _exited(ecs: Any, target: Target, task: str, patience: Patience, step: Step) -> Step:
    """Wait until a task has stopped, and look at the exit code of its container; one that does not stop is stopped."""
    deadline = time.monotonic() + patience.rollout
    while time.monotonic() < deadline:
        found = ecs.describe_tasks(cluster=target.cluster, tasks=[task])["tasks"]
        if found and found[0]["lastStatus"] == "STOPPED":
            codes = [c.get("exitCode") for c in found[0]["containers"] if c["name"] == target.container]
            if codes == [0]:
                return Step(step.name, passed=True, words=f"{step.words} ended well")
            ended = f"exit code {codes[0]}" if codes and codes[0] is not None else found[0].get("stoppedReason")
            return Step(
                step.name, passed=False, words=f"{step.words} failed ({ended}); its log is that of task {_short(task)}"
            )
        time.sleep(patience.between)
    ecs.stop_task(cluster=target.cluster, task=task, reason="creditrisk deploy waited too long")
    return Step(
        step.name, passed=False, words=f"{step.words} did not end within {patience.rollout:g} s; it was stopped"
    )


def _alone(service: Mapping[str, Any], wanted: str) -> bool:
    """Tell whether all tasks that should run do, and are of one task definition."""
    running = [one for one in service["deployments"] if one["runningCount"] or one["status"] == "PRIMARY"]
    return (
        [one["taskDefinition"] for one in running] == [wanted]
        and running[0].get("rolloutState") == "COMPLETED"
        and running[0]["runningCount"] == service["desiredCount"] > 0
    )


def _given_up(service: Mapping[str, Any], wanted: str, *, taken_up: bool) -> str | None:
    """Say how ECS gave a task definition up; None: it has not."""
    for deployment in service["deployments"]:
        if deployment["taskDefinition"] == wanted and deployment.get("rolloutState") == "FAILED":
            return f"ECS gave {_short(wanted)} up: {deployment.get('rolloutStateReason', 'no reason given')}"
    if taken_up and service["taskDefinition"] != wanted:
        return (
            f"the service went to {_short(service['taskDefinition'])} instead: the circuit breaker, or another release"
        )
    return None


def _service(ecs: Any, target: Target) -> Mapping[str, Any]:
    try:
        found = ecs.describe_services(cluster=target.cluster, services=[target.service])["services"]
    except (BotoCoreError, ClientError) as error:
        raise DeploymentError(
            f"ECS cannot be asked for {target.service} in {target.cluster} ({_cause(error)}); check the names, region and permissions"
        ) from error
    active = [service for service in found if service["status"] == "ACTIVE"]
    if not active:
        raise DeploymentError(f"ECS has no active service {target.service} in {target.cluster}; make the stack first")
    service: Mapping[str, Any] = active[0]
    return service


def _task_definition(ecs: Any, arn: str) -> Mapping[str, Any]:
    try:
        definition: Mapping[str, Any] = ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
    except (BotoCoreError, ClientError) as error:
        raise DeploymentError(f"the task definition {_short(arn)} cannot be read ({_cause(error)})") from error
    return definition


def _image(definition: Mapping[str, Any], target: Target) -> str:
    for container in definition["containerDefinitions"]:
        if container["name"] == target.container:
            return str(container["image"])
    names = ", ".join(container["name"] for container in definition["containerDefinitions"])
    raise DeploymentError(f"{target.service} has no container {target.container}; it has {names}")


def _with_image(definition: Mapping[str, Any], target: Target, image: str) -> dict[str, Any]:
    containers = [
        {**container, "image": image} if container["name"] == target.container else container
        for container in definition["containerDefinitions"]
    ]
    taken = {name: value for name, value in definition.items() if name not in TOLD_ONLY}
    return {**taken, "containerDefinitions": containers}


def _register(ecs: Any, definition: Mapping[str, Any]) -> str:
    try:
        return str(ecs.register_task_definition(**definition)["taskDefinition"]["taskDefinitionArn"])
    except (BotoCoreError, ClientError) as error:
        raise DeploymentError(f"ECS refused the new task definition ({_cause(error)}); nothing was changed") from error


def _short(arn: str) -> str:
    return arn.rsplit("/", 1)[-1]


def _cause(error: Exception) -> str:
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
