"""The gates in the graph: a model that fails one is registered nowhere, until somebody answers for it."""

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from creditrisk_assets import running
from creditrisk_assets.defs import validation
from creditrisk_assets.defs.artefact import CheckOutcome, require_one_lineage
from creditrisk_assets.defs.evaluation import EVALUATION
from creditrisk_assets.defs.governance import REGISTRY
from creditrisk_assets.defs.promotion import CANARY, RECORD
from creditrisk_assets.defs.training import MODEL
from creditrisk_assets.defs.validation import REPORT, VALIDATION
from creditrisk_assets.lake import Lake, Manifest, Version
from creditrisk_assets.modelling import bundle
from creditrisk_assets.modelling.gates import BY_CODE, GATES
from creditrisk_assets.modelling.policy import DEFAULT_PATH
from creditrisk_assets.registry import versions
from creditrisk_assets.resources.mlflow import connect
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.integration.conftest import Graph

MODEL_TO_REGISTRY = ",".join((MODEL, EVALUATION, VALIDATION, REGISTRY, CANARY))
TODAY = datetime.now(UTC).date()


def report_of(settings: Settings) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((settings.reports / REPORT).read_text("utf-8"))
    return found


def checks_of(lake: Lake) -> dict[str, Mapping[str, Any]]:
    return {check["name"]: check for check in lake.require(VALIDATION).manifest.metadata["checks"]}


def test_the_graphs_model_is_judged_by_every_gate_and_the_report_is_exported(graph: Graph) -> None:
    report, checks = report_of(graph.settings), checks_of(graph.lake)
    assert report["model_version"] == graph.lake.require(MODEL).version
    assert report["passed"]
    assert {gate["code"] for gate in report["gates"]} == set(BY_CODE)
    assert {gate.check for gate in GATES} == set(checks)
    status = {gate["code"]: gate["status"] for gate in report["gates"]}
    assert {code for code, found in status.items() if found == "pass"} == {
        "CR-M13", "CR-M14", "CR-M15", "CR-M16", "CR-M17", "CR-M18", "CR-M19",
    }  # fmt: skip
    assert {code for code, found in status.items() if found == "fail"} == {"CR-M20"}


def test_too_few_defaults_warn_and_the_first_version_is_registered(graph: Graph) -> None:
    check = checks_of(graph.lake)["CR_M20"]
    assert (check["passed"], check["severity"]) == (False, "WARN")
    assert not graph.lake.require(CANARY).manifest.metadata["facts"]["gate_passed"]
    assert json.loads((graph.settings.reports / RECORD).read_text())["promoted"]
    facts = graph.lake.require(REGISTRY).manifest.metadata["facts"]
    assert facts["versions"]["validation"] == graph.lake.require(VALIDATION).version


def published(
    key: str, *, inputs: Mapping[str, str] | None = None, checks: list[CheckOutcome] | None = None
) -> Version:
    metadata = {"checks": [vars(check) for check in checks or []]}
    return Version(Path(), Manifest(key, f"{key} 2", "code", dict(inputs or {}), {}, "2026-05-03", metadata))


def test_a_check_stands_where_it_passed_or_was_allowed_by_name_and_one_not_made_does_not() -> None:
    checks = [
        CheckOutcome("passed", passed=True),
        CheckOutcome("allowed", passed=False, severity="WARN"),
        CheckOutcome("failed", passed=False),
    ]
    version = published("training/split_train", checks=checks)
    found = {name: validation._stands(version, name) for name in ("passed", "allowed", "failed", "not made")}
    assert found == {"passed": True, "allowed": True, "failed": False, "not made": False}


def test_inputs_made_from_another_version_of_one_another_are_refused_by_name() -> None:
    model = published(MODEL)
    fresh, stale = (published(EVALUATION, inputs={MODEL: version}) for version in (model.version, "model/pd 1"))
    require_one_lineage({MODEL: model, EVALUATION: fresh, REGISTRY: published(REGISTRY)})
    with pytest.raises(RuntimeError, match=r"the model/evaluation published last .* version of model/pd .*model/pd 2"):
        require_one_lineage({MODEL: model, EVALUATION: stale})


class Strict:
    """A copy of the home with an empty registry, and a policy whose floor no model reaches."""

    def __init__(self, home: Path, path: Path) -> None:
        self.settings, self.lake, self.path = Settings(), Lake(home / "lake"), path
        self.content: dict[str, Any] = yaml.safe_load(DEFAULT_PATH.read_text("utf-8"))
        self.content["gates"] |= {"minimum_auc": 0.99, "minimum_test_defaults": 1}
        self.override([], TODAY)

    def file_evidence(self, model: str) -> None:
        """Publish what `governance/file` would say of a model: its documents take a minute, and are tested elsewhere."""
        with self.lake.draft("governance/file") as draft:
            facts = {"model_version": model, "missing_required": []}
            (draft.path / "completeness.json").write_text(json.dumps(facts))
            self.lake.publish(draft, code_version="test", inputs={}, metadata={"facts": facts, "checks": []})

    def override(self, codes: list[str], expires: Any) -> None:
        """Set gates aside until a day."""
        given = [{"gate": code, "reason": "a drill", "approver": "Ada Officer", "expires": expires} for code in codes]
        self.path.write_text(yaml.safe_dump({**self.content, "overrides": given}), "utf-8")

    def registered(self) -> tuple[str | None, str | None]:
        """Return the model versions of candidate and champion."""
        connect(self.settings)
        name = self.settings.registered_model
        found = [versions.by_alias(name, alias) for alias in (versions.CANDIDATE, versions.CHAMPION)]
        return tuple(version.model_version if version else None for version in found)


@pytest.fixture
def strict(graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Strict:
    home = tmp_path / "strict"
    shutil.copytree(graph.settings.root, home, symlinks=True)
    monkeypatch.setenv("CREDITRISK_HOME", str(home))
    monkeypatch.setenv("CREDITRISK_POLICY", str(tmp_path / "policy.yaml"))
    for file in (Settings().root / "mlflow.db", Settings().root / "registry.db", Settings().registry_checkpoints_file):
        file.unlink()
    shutil.rmtree(Settings().bundles)
    return Strict(home, tmp_path / "policy.yaml")


def test_a_failing_gate_registers_nothing_until_somebody_answers_for_it(strict: Strict) -> None:
    settings, lake = strict.settings, strict.lake
    before = lake.require(VALIDATION).version
    blocked = running.materialize(settings, MODEL_TO_REGISTRY)
    model = lake.require(MODEL).version
    assert any("CR_M01" in failure for failure in blocked.failures)
    assert REGISTRY in blocked.not_run
    assert strict.registered() == (None, None)
    assert bundle.follow(settings.bundles) is None
    assert lake.require(VALIDATION).version == before
    report = report_of(settings)
    assert (report["model_version"], report["passed"]) == (model, False)

    alone = running.materialize(settings, REGISTRY)  # the last validation is of the model before, and proves nothing
    assert any("the model/validation published last was made from another version of" in f for f in alone.failures)
    assert strict.registered() == (None, None)

    failing = [gate["code"] for gate in report["gates"] if gate["status"] == "fail"]
    strict.override(failing, TODAY + timedelta(days=1))
    strict.file_evidence(model)
    allowed = running.materialize(settings, MODEL_TO_REGISTRY)
    assert allowed.failures == []
    assert {asset.key: asset.outcome for asset in allowed.assets} == {
        MODEL: "reused", EVALUATION: "reused", VALIDATION: "built", REGISTRY: "built", CANARY: "built",
    }  # fmt: skip
    check = checks_of(lake)["CR_M01"]
    assert (check["passed"], check["severity"]) == (True, "WARN")
    assert f"overridden by Ada Officer until {TODAY + timedelta(days=1)}: a drill" in check["facts"]["description"]
    assert check["facts"]["description"].endswith("(limit: at least 0.99)")
    assert strict.registered() == (model, model)
    facts = lake.require(REGISTRY).manifest.metadata["facts"]
    assert facts["overridden_gates"] == failing
    assert facts["headline"].endswith(f"; overridden: {', '.join(failing)}")

    strict.override(failing, TODAY)
    expired = running.materialize(settings, MODEL_TO_REGISTRY)
    assert any("CR_M01" in failure for failure in expired.failures)
    assert strict.registered() == (model, model)  # what is registered stays; nothing new is
