"""What is in deploy/, the Dockerfile, the locks and the workflows: valid, hardened, and naming only what exists."""

import itertools
import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jsonschema import validate
from prometheus_client.parser import text_string_to_metric_families

from creditrisk_assets.settings import Settings
from creditrisk_serving.observability import Metrics
from creditrisk_serving.settings import ServingSettings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = ("serving", "orchestration")
KNOWN = {f"CREDITRISK_{name.upper()}" for name in Settings.model_fields} | {
    f"CREDITRISK_SERVING_{name.upper()}" for name in ServingSettings.model_fields
}
NOT_SERVED = {
    "dagster",
    "mlflow",
    "pandas",
    "scikit-learn",
    "pandera",
    "scipy",
    "pyarrow",
    "evidently",
    "pytest",
    "moto",
}


class CloudFormation(yaml.SafeLoader):
    """Reads a template; what a function refers to is kept as text."""


CloudFormation.add_multi_constructor("!", lambda loader, _suffix, node: getattr(node, "value", None))
TEMPLATE = yaml.load((DEPLOY / "aws" / "platform.yaml").read_text(), CloudFormation)  # a SafeLoader


def tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a validator of the same environment."""
    path = Path(sys.executable).with_name(name)
    command = str(path) if path.exists() else shutil.which(name)
    assert command, f"{name} is missing; run `make setup`"
    return subprocess.run([command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def schema(name: str) -> Any:
    """Return a published schema as check-jsonschema brings it."""
    vendored = resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / f"{name}.json"
    return json.loads(vendored.read_text())


def typed(value: Any) -> Any:
    """Read scalars as YAML does, but for keys."""
    if isinstance(value, dict):
        return {key: typed(one) for key, one in value.items()}
    return [typed(one) for one in value] if isinstance(value, list) else yaml.safe_load(value)


def pins(lock: str) -> dict[str, str]:
    text = (ROOT / f"requirements{lock}.lock").read_text()
    return dict(re.findall(r"^([a-z0-9._-]+)(?:\[.*?\])?==([^ ]+)", text, re.MULTILINE))


# Locks and images


@pytest.mark.parametrize("image", ["serving", "orchestration", "build"])
def test_an_image_has_no_version_that_the_tests_do_not_run_with(image: str) -> None:
    everything, part = pins(""), pins(f"-{image}")
    assert part
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    asked = {re.split(r"[<>=\[]", line)[0].strip() for lines in extras.values() for line in lines}
    for name, version in part.items():
        assert everything.get(name, version) == version, f"{name}: run `make imagelocks`"
        assert name in everything or name in asked, f"{name} comes from nowhere: run `make lock`"
    text = (ROOT / f"requirements-{image}.lock").read_text()
    assert text.count("==") <= text.count("--hash=sha256:")


def test_the_serving_image_is_small() -> None:
    part = pins("-serving")
    assert not part.keys() & NOT_SERVED
    assert not [name for name in part if name.startswith(("dagster", "mlflow"))]
    assert {"duckdb", "fastapi", "lightgbm", "psycopg2-binary", "boto3"} <= part.keys()


def test_the_dockerfile_pins_its_base_and_leaves_root() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    (base,) = (line for line in lines if line.startswith("ARG BASE="))
    assert re.fullmatch(r"ARG BASE=python:3\.11\.\d+-slim-bookworm(@sha256:[0-9a-f]{64})?", base)
    stages = [line for line in lines if line.startswith("FROM ")]
    assert {stage.split()[-1] for stage in stages} >= {"serving", "orchestration", "batch"}
    for image in OURS:
        stage = lines[lines.index(f"FROM runtime AS {image}") :]
        stage = stage[: next((i for i, line in enumerate(stage[1:], 1) if line.startswith("FROM ")), len(stage))]
        assert "USER 10001:10001" in stage
        assert [line for line in stage if line.startswith("HEALTHCHECK")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if "pip install" in line:
            assert "--require-hashes" in line or "--no-index" in line, line
    for line in lines:
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), source
                top = source.rstrip("/")
                allowed = (ROOT / ".dockerignore").read_text().splitlines()
                assert any(top == rule[1:] or top.startswith(f"{rule[1:]}/") for rule in allowed if rule[:1] == "!"), (
                    source
                )


# Compose


def test_compose_holds_the_schema() -> None:
    validate(COMPOSE, schema("compose-spec"))


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_of_compose_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["user"].split(":")[0]) > 0
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), (
        "nothing listens beyond this machine"
    )
    assert name == "buckets" or "healthcheck" in service
    image = service["image"]
    assert re.search(r":[^:]*\d", image) or image.endswith(":local}"), f"{image} is not pinned"
    for key in service.get("environment", {}):
        if key.startswith("CREDITRISK_"):
            assert key in KNOWN, f"{key} is no setting"


def test_the_commands_of_compose_exist() -> None:
    scripts = {path.name for path in Path(sys.executable).parent.iterdir()}
    for name, service in SERVICES.items():
        if "creditrisk-" not in service["image"] or name == "buckets":
            continue
        words = [*service.get("entrypoint", ()), *service["command"]]
        if name == "scoring":
            words = ["creditrisk", *words]
        assert words[0] in scripts, words[0]
        for word, value in itertools.pairwise(words):
            if word == "-m":
                assert (ROOT / f"{value.replace('.', '/')}.py").exists()


def test_what_compose_asks_for_is_in_the_example() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    asked = set(re.findall(r"\$\{([A-Z0-9_]+)", text)) | {"CREDITRISK_SOURCE"}
    example = set(re.findall(r"^#?([A-Z0-9_]+)=", (DEPLOY / "env.example").read_text(), re.MULTILINE))
    assert asked == example


@pytest.mark.parametrize("path", ["dagster/dagster.yaml", "dagster/ecs/dagster.yaml"])
def test_the_instance_of_a_cluster_is_one(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster._core.instance.config import dagster_instance_config
    from dagster._core.instance.ref import InstanceRef

    directory = (DEPLOY / path).parent
    config, _ = dagster_instance_config(str(directory))
    for name in ("DAGSTER_POSTGRES_URL", "DAGSTER_LOGS_BUCKET", "DAGSTER_RUN_TASK_DEFINITION"):
        monkeypatch.setenv(name, "x")
    reference = InstanceRef.from_dir(str(directory))
    assert reference.compute_logs_data.class_name == "S3ComputeLogManager"
    assert config["concurrency"] == {"runs": {"max_concurrent_runs": 1}}
    if "ecs" in path:
        assert reference.run_launcher_data.class_name == "EcsRunLauncher"
    asked = set(re.findall(r"env: ([A-Z_]+)", (DEPLOY / path).read_text()))
    given = set(SERVICES["daemon"]["environment"]) | {"DAGSTER_RUN_TASK_DEFINITION"}
    assert asked <= given


def test_the_workspace_names_what_compose_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster._core.workspace.load import location_origins_from_yaml_paths

    environment = SERVICES["daemon"]["environment"]
    for name in ("DAGSTER_ASSETS_HOST", "DAGSTER_ASSETS_PORT", "DAGSTER_SERVING_HOST", "DAGSTER_SERVING_PORT"):
        monkeypatch.setenv(name, environment[name])
    origins = location_origins_from_yaml_paths([str(DEPLOY / "dagster" / "workspace.yaml")])
    assert {origin.host for origin in origins} == {"code-assets", "code-serving"} <= SERVICES.keys()
    assert {origin.location_name for origin in origins} == {"creditrisk_assets", "creditrisk_serving"}
    assert {origin.port for origin in origins} == {4000}


# AWS


def test_the_template_passes_the_linter() -> None:
    done = tool("cfn-lint", "deploy/aws/platform.yaml")
    assert done.returncode == 0, done.stdout


def containers() -> list[dict[str, Any]]:
    tasks = [r for r in TEMPLATE["Resources"].values() if r["Type"] == "AWS::ECS::TaskDefinition"]
    return [container for task in tasks for container in task["Properties"]["ContainerDefinitions"]]


def test_the_containers_of_the_template_are_hardened_and_know_their_settings() -> None:
    assert {container["Name"] for container in containers()} == {
        "scoring", "run", "code-assets", "code-serving", "webserver", "daemon",
    }  # fmt: skip
    for container in containers():
        assert container["User"] == "10001:10001"
        assert container["ReadonlyRootFilesystem"] is True
        assert container["LinuxParameters"]["Capabilities"] == {"Drop": ["ALL"]}
        given = {entry["Name"] for entry in (*container["Environment"], *container["Secrets"])}
        assert {name for name in given if name.startswith("CREDITRISK_")} <= KNOWN
        plain = {entry["Name"] for entry in container["Environment"]}
        assert not {name for name in plain if name.endswith(("_URL", "_KEY", "_STORE", "_DATABASE"))} - {
            "CREDITRISK_OBJECT_STORE", "CREDITRISK_SERVING_BUNDLE_PUBLIC_KEY",
        }, "a secret stands in the template"  # fmt: skip


def test_every_service_of_the_template_has_its_circuit_breaker() -> None:
    services = [r for r in TEMPLATE["Resources"].values() if r["Type"] == "AWS::ECS::Service"]
    assert len(services) == 5
    for service in services:
        properties = service["Properties"]
        assert properties["DeploymentConfiguration"]["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
        assert properties["NetworkConfiguration"]["AwsvpcConfiguration"]["AssignPublicIp"] == "DISABLED"


# Kubernetes


@pytest.mark.parametrize("path", ["scoring.yaml", "settings.yaml"])
def test_the_manifests_hold_the_schemas(path: str) -> None:
    for document in yaml.safe_load_all((DEPLOY / "kubernetes/scoring" / path).read_text()):
        kubernetes_validate.validate(document, "1.34", strict=True)


def test_the_pods_are_hardened_and_know_their_settings() -> None:
    documents = {d["kind"]: d for d in yaml.safe_load_all((DEPLOY / "kubernetes/scoring/scoring.yaml").read_text())}
    assert documents.keys() == {
        "Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy",
    }  # fmt: skip
    pod = documents["Deployment"]["spec"]["template"]["spec"]
    values = yaml.safe_load((DEPLOY / "kubernetes/dagster-values.yaml").read_text())
    dagster = [values["dagsterWebserver"], values["dagsterDaemon"], *values["dagster-user-deployments"]["deployments"]]
    for security in (pod["securityContext"], *(part["podSecurityContext"] for part in dagster)):
        assert (security["runAsNonRoot"], security["runAsUser"]) == (True, 10001)
    for container in (*pod["containers"], *pod["initContainers"], *dagster):
        assert container["securityContext"] == {
            "readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
    config = yaml.safe_load_all((DEPLOY / "kubernetes/scoring/settings.yaml").read_text())
    given = {entry["name"] for entry in pod["containers"][0]["env"]} | set(next(config)["data"])
    assert given <= KNOWN
    assert {one["codeServerArgs"][1] for one in values["dagster-user-deployments"]["deployments"]} == {
        "creditrisk_assets.definitions", "creditrisk_serving.definitions",
    }  # fmt: skip


VALUES: dict[str, Any] = yaml.safe_load((DEPLOY / "kubernetes/dagster-values.yaml").read_text())
POD = {
    "image",
    "podSecurityContext",
    "securityContext",
    "volumes",
    "volumeMounts",
    "resources",
    "envConfigMaps",
    "envSecrets",
}
CHART: dict[str, Any] = {  # what the chart's schema allows (helm/dagster/schema in Dagster's repository), of what is used here
    "global": {"postgresqlSecretName", "serviceAccountName"},
    "generatePostgresqlPasswordSecret": None,
    "postgresql": {"enabled", "postgresqlHost", "postgresqlUsername", "postgresqlDatabase", "service"},
    "computeLogManager": {"type": None, "config": {"s3ComputeLogManager": {"bucket", "prefix", "localDir", "uploadInterval"}}},
    "dagsterWebserver": POD | {"service", "readinessProbe"},
    "dagsterDaemon": dict.fromkeys(POD) | {
        "runCoordinator": {
            "enabled": None, "type": None, "config": {"queuedRunCoordinator": {"maxConcurrentRuns"}},
        },
        "runRetries": {"enabled", "maxRetries", "retryOnAssetOrOpFailure"},
        "runMonitoring": {"enabled", "startTimeoutSeconds", "maxRuntimeSeconds", "pollIntervalSeconds"},
    },
    "dagster-user-deployments": {
        "enabled": None, "deployments": POD | {"name", "codeServerArgs", "includeConfigInLaunchedRuns", "port"},
    },
    "runLauncher": {
        "type": None, "config": {"k8sRunLauncher": {
            "envConfigMaps": None, "envSecrets": None, "volumes": None, "volumeMounts": None,
            "runK8sConfig": {"podSpecConfig", "containerConfig"},
        }},
    },
    "telemetry": {"enabled"},
    "retention": {"enabled", "schedule", "sensor"},
    "additionalInstanceConfig": None,
}  # fmt: skip


def unknown(given: Any, allowed: Any, path: str = "") -> list[str]:
    """Name what the chart would not know."""
    if isinstance(given, list):
        return [name for one in given for name in unknown(one, allowed, path)]
    if allowed is None:
        return []
    named = dict.fromkeys(allowed) if isinstance(allowed, set) else allowed
    wrong = [f"{path}{name}" for name in given if name not in named]
    return wrong + [w for name in given if name in named for w in unknown(given[name], named[name], f"{path}{name}.")]


def test_the_values_name_what_the_chart_knows() -> None:
    assert unknown(VALUES, CHART) == []
    assert unknown(VALUES | {"telemetry": {"enable": False}}, CHART) == ["telemetry.enable"]
    webserver = VALUES["dagsterWebserver"]
    assert webserver["service"]["port"] == webserver["readinessProbe"]["httpGet"]["port"] > 1023, "bound without root"


def test_the_instance_of_the_chart_is_that_of_the_cluster() -> None:
    ours = yaml.safe_load((DEPLOY / "dagster/dagster.yaml").read_text())
    daemon = VALUES["dagsterDaemon"]
    assert VALUES["additionalInstanceConfig"].items() <= ours.items()
    assert VALUES["telemetry"] == ours["telemetry"]
    assert daemon["runRetries"] == {camel(name): value for name, value in ours["run_retries"].items()}
    assert daemon["runMonitoring"] == {camel(name): value for name, value in ours["run_monitoring"].items()}
    queue = daemon["runCoordinator"]["config"]["queuedRunCoordinator"]
    assert queue["maxConcurrentRuns"] == ours["concurrency"]["runs"]["max_concurrent_runs"]
    kept = {name: {camel(n): v for n, v in days.items()} for name, days in ours["retention"].items()}
    assert VALUES["retention"] == {"enabled": True} | kept


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def test_a_run_on_kubernetes_is_hardened_has_its_own_memory_and_the_home() -> None:
    """What the chart makes of the launcher's values, through Dagster's own launcher, into a job of Kubernetes."""
    from dagster._config import process_config, resolve_to_config_type
    from dagster_k8s import K8sRunLauncher
    from dagster_k8s.container_context import K8sContainerContext
    from dagster_k8s.job import DagsterK8sJobConfig, UserDefinedDagsterK8sConfig, construct_dagster_k8s_job
    from kubernetes.client import ApiClient

    given = VALUES["runLauncher"]["config"]["k8sRunLauncher"]
    run = {
        "container_config": given["runK8sConfig"]["containerConfig"],
        "pod_spec_config": given["runK8sConfig"]["podSpecConfig"],
    }
    config = {
        "env_config_maps": [one["name"] for one in given["envConfigMaps"]],
        "env_secrets": [one["name"] for one in given["envSecrets"]],
        "volumes": given["volumes"],
        "volume_mounts": given["volumeMounts"],
        "run_k8s_config": run,
    }
    instance = {
        "dagster_home": "/opt/dagster",
        "instance_config_map": "instance",
        "postgres_password_secret": "password",
    }
    read = process_config(
        resolve_to_config_type(K8sRunLauncher.config_type()), {"service_account_name": "dagster", **instance, **config}
    )
    assert read.success, read.errors
    for location in VALUES["dagster-user-deployments"]["deployments"]:
        assert location["includeConfigInLaunchedRuns"] == {"enabled": False}, "its memory would be the run's"
    context = K8sContainerContext(**config | {"run_k8s_config": UserDefinedDagsterK8sConfig.from_dict(run)})
    job = construct_dagster_k8s_job(
        DagsterK8sJobConfig(**instance, job_image="image"),
        ["dagster"],
        "run",
        context.run_k8s_config,
        component="run_worker",
    )
    document = ApiClient().sanitize_for_serialization(job)
    kubernetes_validate.validate(document, "1.34", strict=True)
    pod = document["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsUser"] == 10001
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["resources"]["limits"] == {"memory": "8Gi"}
    assert "/var/lib/creditrisk" in {mount["mountPath"] for mount in container["volumeMounts"]}


# What watches


def test_the_alerts_ask_for_metrics_the_service_has() -> None:
    known = {family.name for family in text_string_to_metric_families(Metrics().render().decode())}
    rules = [r for g in yaml.safe_load((DEPLOY / "prometheus/alerts.yaml").read_text())["groups"] for r in g["rules"]]
    for rule in rules:
        asked = set(re.findall(r"creditrisk_[a-z_]+", rule["expr"]))
        assert {re.sub(r"_(total|bucket|count|sum)$", "", name) for name in asked} <= known, rule["alert"]
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["action"]


# Workflows

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yaml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_make_targets_alone(path: Path) -> None:
    workflow = yaml.load(path.read_text(), yaml.BaseLoader)  # YAML 1.1 reads `on` as true
    validate(typed(workflow), schema("github-workflows"))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    runs = [step["run"] for step in steps if "run" in step]
    for command in runs:
        words = command.split()
        assert words[0] == "make", command
        assert set(words[1:]) <= targets, command
    for step in steps:
        if "uses" in step:
            assert re.fullmatch(r"[\w./-]+@(v\d+\.\d+\.\d+|[0-9a-f]{40})", step["uses"]), step["uses"]
    given = {name for job in workflow["jobs"].values() for name in job.get("env", {})}
    given |= {name for step in steps for name in step.get("env", {})}
    assert {name for name in given if name.startswith("CREDITRISK_")} <= KNOWN
    assert workflow["permissions"] == {"contents": "read"}


def test_every_image_is_built_by_ci_and_released_by_digest_with_its_parts_and_a_signature() -> None:
    named = re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    images = {
        name for name in named if name not in {"runtime", "build", "package"} and not name.endswith("-environment")
    }
    ci, cd = (yaml.safe_load((ROOT / f".github/workflows/{name}.yaml").read_text()) for name in ("ci", "cd"))
    assert set(ci["jobs"]["images"]["strategy"]["matrix"]["target"]) == images == {"serving", "orchestration", "batch"}
    steps = cd["jobs"]["build"]["steps"]
    pushed = {step["id"]: step["with"] for step in steps if "docker/build-push-action" in step["uses"]}
    signed = {step["with"]["subject-name"]: step["with"] for step in steps if "attest-build" in step["uses"]}
    assert {made["target"] for made in pushed.values()} == images
    for name, made in pushed.items():
        assert (name, made["push"], made["sbom"], made["provenance"]) == (made["target"], True, True, "mode=max")
        signature = signed[made["tags"].rpartition(":")[0]]
        assert signature["subject-digest"] == f"${{{{ steps.{name}.outputs.digest }}}}"


def test_the_workflows_pass_the_security_linter() -> None:
    done = tool("zizmor", "--offline", "--no-progress", "--config", ".github/zizmor.yml", ".github/workflows")
    assert done.returncode == 0, done.stdout
