"""The walk of a version through production, from the Dagster UI, as people do it, with the service running beside it."""

import json
import sqlite3
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from creditrisk_assets import promoting
from creditrisk_assets.cli import app
from creditrisk_assets.modelling.policy import DEFAULT_PATH
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.serving.test_light import ask, serving
from creditrisk_assets_tests.ui.conftest import CHROMIUM, Ui, started
from creditrisk_assets_tests.ui.test_ui import LAUNCH, outcome_of

pytestmark = [pytest.mark.drill, pytest.mark.browser]
POLICY = (
    DEFAULT_PATH.read_text("utf-8")
    .replace("approval: auto", "approval: two")
    .replace("minimum_test_defaults: 50", "minimum_test_defaults: 10")  # of as few applicants as there are here
)
FOLLOWED_SECONDS, RUN_SECONDS = 60, 3600


class Walk:
    """The UI, and what a person does in it."""

    def __init__(self, ui: Ui, pictures: Path) -> None:
        self.ui, self._pictures = ui, pictures

    def launch(self, job: str, location: str = "creditrisk_assets", **ops: dict[str, str]) -> str:
        """Launch a job with a configuration, as from its launchpad, and wait for its end."""
        selector = {"repositoryLocationName": location, "repositoryName": "__repository__", "jobName": job}
        config = {"ops": {name: {"config": given} for name, given in ops.items()}} if ops else {}
        answer = self.ui.query(LAUNCH, params={"selector": selector, "runConfigData": config, "mode": "default"})
        launched = answer["launchPipelineExecution"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return outcome_of(self.ui, launched["run"]["runId"], RUN_SECONDS)

    def see(self, page: str, name: str, *words: str) -> None:
        """Require that a page shows words; its picture is kept."""
        text = self.ui.look(page, self._pictures / f"shadow-{name}.png")
        assert not [word for word in words if word not in text], f"{page} does not show them all"


def wait_for(port: int, version: str) -> None:
    """Wait until the running service reports a version."""
    deadline = time.monotonic() + FOLLOWED_SECONDS
    while json.loads(said := ask(port, "GET", "/ready")[1])["model_version"] != version:
        assert time.monotonic() < deadline, said
        time.sleep(0.5)


@pytest.mark.skipif(CHROMIUM is None, reason="no browser; enable with: apt-get install -y chromium")
def test_train_compare_approve_twice_promote_and_roll_back(
    portfolio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, policy = tmp_path / "home", tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    monkeypatch.setenv("CREDITRISK_HOME", str(home))
    monkeypatch.setenv("CREDITRISK_POLICY", str(policy))
    settings = Settings()
    with started(home, portfolio, CREDITRISK_POLICY=str(policy)) as ui:
        walk = Walk(ui, tmp_path)
        assert walk.launch("refresh_portfolio") == "SUCCESS", ui.log.read_text()[-4000:]
        first = promoting.standing(settings)["champion"]
        with serving(home) as (_, port, _):
            wait_for(port, first)
            policy.write_text(POLICY.replace("version: 1\n", "version: 2\n", 1))
            assert walk.launch("retrain_model") == "SUCCESS", ui.log.read_text()[-4000:]
            standing = promoting.standing(settings)
            second = standing["candidate"]
            assert (standing["champion"], standing["approved_by"], standing["needed"]) == (first, [], 2)
            assert second != first
            walk.see("/assets/registry/canary?view=overview", "compared", second, "differences")
            better = {"version": second, "reason": "a newer policy"}
            for number, name in enumerate(("Ada", "Grace"), start=1):
                assert walk.launch("promote_version", promote=better) == "FAILURE", f"{number} approvals are lacking"
                key = tmp_path / f"{name}.pem"
                promoting.create_approver(settings, name, key)
                token = promoting.sign(settings, second, key, reason="read the report", days=1, reject=False)
                assert walk.launch("approve_version", approve={"token": token}) == "SUCCESS"
            wait_for(port, first)
            assert walk.launch("promote_version", promote=better) == "SUCCESS", ui.log.read_text()[-4000:]
            wait_for(port, second)
            assert walk.launch("rollback_champion", roll_back={"reason": "complaints"}) == "SUCCESS"
            wait_for(port, first)
            walk.see("/runs", "runs", "promote_version", "approve_version", "rollback_champion")
            walk.see("/locations/creditrisk_assets/jobs/promote_version", "job", "promote")
    told = promoting.ledger(settings, None, verify=True)
    assert told["verification"]["findings"] == ()
    steps = [(entry["kind"], entry["phase"]) for entry in told["entries"] if entry["model_version"] == second]
    assert [step for step in steps if step[0] in {"registration", "comparison", "approval", "promotion"}] == [
        ("registration", "done"), ("comparison", "done"), ("approval", "done"), ("approval", "done"),
        ("promotion", "intent"), ("promotion", "done"),
    ]  # fmt: skip
    assert [e["kind"] for e in told["entries"]].count("approver") == 2
    assert [(e["model_version"], e["phase"]) for e in told["entries"] if e["kind"] == "rollback"] == [
        (first, "intent"),
        (first, "done"),
    ]
    assert CliRunner().invoke(app, ["ledger", "--verify"]).exit_code == 0
    with sqlite3.connect(settings.root / "registry.db") as connection:
        connection.execute(
            "update ledger set content = replace(content, 'a newer policy', 'a never policy') where sequence ="
            " (select max(sequence) from ledger where content like '%a newer policy%')"
        )
    connection.close()
    spoilt = CliRunner().invoke(app, ["ledger", "--verify"])
    assert (spoilt.exit_code, "was changed" in spoilt.output) == (1, True)
