"""A cluster of ECS: moto's API, and an agent that runs real service processes behind one address, as ECS and a load balancer do.

What belongs here: the counterpart. What does not: what is asserted about a release.
"""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import boto3
import requests
from moto.ecs.models import ecs_backends
from moto.moto_api import state_manager
from moto.server import ThreadedMotoServer

from creditrisk_assets_tests.serving.test_light import serving

REGION, ACCOUNT = "eu-central-1", "123456789012"
CLUSTER, SERVICE, FAMILY = "credit-risk", "scoring", "credit-risk-scoring"
HANGING = -1


class Balancer:
    """One address; connections go to the port it is pointed to, wait for ever (HANGING), or are refused (None)."""

    def __init__(self) -> None:
        self.port: int | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._kept: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            self._kept.append(caller)
            if self.port == HANGING:
                continue
            try:
                service = socket.create_connection(("127.0.0.1", self.port or 1))
            except OSError:
                caller.close()
                continue
            self._kept.append(service)
            for one, other in ((caller, service), (service, caller)):
                threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def refuse(self) -> None:
        """Refuse what comes, and cut the connections there are."""
        self.port = None
        while self._kept:
            with contextlib.suppress(OSError):
                self._kept.pop().shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _pass_on(one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while content := one.recv(65536):
                other.sendall(content)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._listener.close()
        for kept in self._kept:
            kept.close()


class Cluster:
    """The service `scoring`, running what its task definition names.

    Attributes
    ----------
    images
        Image -> what running it comes to: a port to answer on, HANGING, None (nothing listens), `breaker` (its tasks do not start, and ECS
        goes back) or `starting` (they never come up).
    exits
        Image -> the exit code of a command that is run by it once, 0 where it is not named; None: it never ends.
    """

    def __init__(self, ecs: Any, balancer: Balancer, images: dict[str, Callable[[], int | str | None]]) -> None:
        self.ecs, self.balancer, self.images = ecs, balancer, images
        self.started: list[str] = []  # images, in the order they were started
        self.exits: dict[str, int | None] = {}
        self.commands: list[tuple[str, list[str], str]] = []  # image, command, image that served meanwhile
        self._seen = {task.id for task in self._tasks()}  # of the tests before
        self._over = threading.Event()
        self._running = ""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def service(self) -> Any:
        return ecs_backends[ACCOUNT][REGION].services[f"{CLUSTER}:{SERVICE}"]

    def image_of(self, task_definition: str) -> str:
        told = self.ecs.describe_task_definition(taskDefinition=task_definition)["taskDefinition"]
        return next(c["image"] for c in told["containerDefinitions"] if c["name"] == "scoring")

    def _run(self) -> None:
        while not self._over.wait(0.01):
            if (wanted := self.service.task_definition) != self._running:
                self._start(wanted)
            for task in self._tasks():
                if task.id not in self._seen:
                    self._run_once(task)

    @staticmethod
    def _tasks() -> list[Any]:
        return list(ecs_backends[ACCOUNT][REGION].tasks.get(CLUSTER, {}).values())

    def _run_once(self, task: Any) -> None:
        self._seen.add(task.id)
        image = self.image_of(task.task_definition_arn)
        (override,) = task.overrides["containerOverrides"]
        self.commands.append((image, override["command"], self.started[-1]))
        if (code := self.exits.get(image, 0)) is not None:
            task.containers[0].exitCode = code
            task.status = "STOPPED"

    def _start(self, wanted: str) -> None:
        service, image = self.service, self.image_of(wanted)
        before = [{**d, "status": "ACTIVE"} for d in service.deployments if d["taskDefinition"] == self._running][:1]
        service.deployments = [_deployment(wanted, "IN_PROGRESS", 0), *before]
        self.started.append(image)
        answer = self.images[image]()
        if answer == "breaker":
            time.sleep(0.2)
            service.deployments = [_deployment(self._running, "COMPLETED", 2), _deployment(wanted, "FAILED", 0)]
            service.task_definition = self._running
            return
        if answer != "starting":
            self.balancer.port = answer
            service.deployments = [_deployment(wanted, "COMPLETED", 2)]
            service.running_count = 2
        self._running = wanted

    def close(self) -> None:
        self._over.set()
        self._thread.join()


def _deployment(task_definition: str, state: str, running: int) -> dict[str, Any]:
    return {
        "id": "ecs-svc/1",
        "status": "INACTIVE" if state == "FAILED" else "PRIMARY",
        "taskDefinition": task_definition,
        "desiredCount": 2,
        "runningCount": running,
        "pendingCount": 2 - running,
        "rolloutState": state,
        "rolloutStateReason": f"ECS deployment {state.lower()}: tasks failed to start"
        if state == "FAILED"
        else f"ECS deployment {state.lower()}.",
    }


@contextmanager
def moto() -> Iterator[str]:
    """Serve AWS's API on this machine, with nothing in it, and have boto3 use it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    requests.post(
        f"http://{host}:{port}/moto-api/reset", timeout=30
    ).raise_for_status()  # all servers of a process are one
    names = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    before = dict(os.environ)
    os.environ.update(names)
    try:
        yield names["AWS_ENDPOINT_URL"]
    finally:
        os.environ.clear()
        os.environ.update(before)
        server.stop()


def _network() -> dict[str, Any]:
    ec2 = boto3.client("ec2")
    subnet, group = ec2.describe_subnets()["Subnets"][0], ec2.describe_security_groups()["SecurityGroups"][0]
    return {"awsvpcConfiguration": {"subnets": [subnet["SubnetId"]], "securityGroups": [group["GroupId"]]}}


@contextmanager
def cluster(images: dict[str, Callable[[], int | str | None]], first: str) -> Iterator[Cluster]:
    """Make the service, running one of the images."""
    ecs = boto3.client("ecs")
    ecs.create_cluster(clusterName=CLUSTER)
    registered = ecs.register_task_definition(
        family=FAMILY,
        requiresCompatibilities=["FARGATE"],
        networkMode="bridge",
        cpu="512",
        memory="1024",
        containerDefinitions=[
            {
                "name": "scoring",
                "image": first,
                "memory": 768,
                "essential": True,
                "readonlyRootFilesystem": True,
                "environment": [{"name": "CREDITRISK_SERVING_WORKERS", "value": "2"}],
            },
            {"name": "log-router", "image": "router:1", "memory": 64, "essential": False},
        ],
    )["taskDefinition"]["taskDefinitionArn"]
    ecs.create_service(
        cluster=CLUSTER,
        serviceName=SERVICE,
        taskDefinition=registered,
        desiredCount=2,
        launchType="FARGATE",
        networkConfiguration=_network(),
    )
    state_manager.set_transition("ecs::task", {"progression": "manual", "times": 10**9})  # a task ends when it is ended
    balancer = Balancer()
    running = Cluster(ecs, balancer, images)
    try:
        while len(running.service.deployments) != 1 or running.service.deployments[0]["rolloutState"] != "COMPLETED":
            time.sleep(0.05)
        yield running
    finally:
        state_manager.unset_transition("ecs::task")
        running.close()
        balancer.close()
        ecs.delete_service(cluster=CLUSTER, service=SERVICE, force=True)


class Processes:
    """Real service processes, each started when its image first runs and kept."""

    def __init__(self, homes: dict[str, Any], stack: ExitStack) -> None:
        self._homes, self._stack = homes, stack
        self._ports: dict[str, int] = {}

    def port(self, image: str) -> int:
        if image not in self._ports:
            _, self._ports[image], _ = self._stack.enter_context(serving(self._homes[image]))
        return self._ports[image]
