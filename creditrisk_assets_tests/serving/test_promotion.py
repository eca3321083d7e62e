"""Promotion and rollback: complete on every replica or taken back, on evidence and approvals, and on record."""

import base64
import json
import multiprocessing
import os
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr

from creditrisk_assets import promoting
from creditrisk_assets.defs import promotion
from creditrisk_assets.lake import Lake
from creditrisk_assets.modelling.bundle import BundleError, follow, read_public_key
from creditrisk_assets.modelling.bundle_writer import store_bundle
from creditrisk_assets.modelling.policy import DEFAULT_PATH
from creditrisk_assets.modelling.signing import public_bytes
from creditrisk_assets.monitoring.alerts.store import AlertStore
from creditrisk_assets.registry import approvals, versions
from creditrisk_assets.registry.approvals import ApprovalError
from creditrisk_assets.registry.changing import ChangeError, RefusedError
from creditrisk_assets.registry.ledger import BusyError, Entry, Event, Ledger, champion_at, link
from creditrisk_assets.registry.promotion import GateFigures
from creditrisk_assets.registry.tracking import TrackingError, quiet
from creditrisk_assets.registry.versions import RegistryError
from creditrisk_assets.resources.mlflow import connect
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.portfolio import FIRST_ID
from creditrisk_assets_tests.serving.test_light import ask, serving

NAME = "credit-risk-pd"
LATER = "2099-01-01T00:00:00+00:00"
FIGURES = GateFigures(0.7, 0.4, 0.3, 0.06, 0.9, 1.0, 900, synthetic=True)


def register(settings: Settings, model_version: str, launched_by: str = "trainer") -> None:
    """Register a stored bundle in MLflow, as `registry/version` does, without the minutes of a training."""
    import mlflow

    tags = {
        "model_version": model_version,
        "gate_figures": FIGURES.to_json(),
        "launched_by": json.dumps([launched_by]),
        "bundle_sha256": versions.manifest_hash(settings.bundles / model_version),
    }
    with quiet():
        client = mlflow.MlflowClient()
        made = client.create_model_version(NAME, source=(settings.bundles / model_version).as_uri(), tags=tags)
        client.set_registered_model_alias(NAME, "candidate", made.version)


def document(settings: Settings, key: str, files: dict[str, Any], facts: dict[str, Any]) -> None:
    """Publish a piece of evidence."""
    lake = Lake(settings.lake)
    with lake.draft(key) as draft:
        for name, content in files.items():
            (draft.path / name).write_text(json.dumps(content))
        lake.publish(draft, code_version="test", inputs={}, metadata={"facts": facts, "checks": []})


class Desk:
    """A home with a champion in use and a challenger registered as candidate, with all evidence there must be."""

    def __init__(self, published: Published) -> None:
        self.settings, self.published = Settings(), published
        self.champion, self.challenger = published.champion, published.challenger
        self.give_evidence()

    def give_governance_file(self, *, about: str | None = None, missing: tuple[str, ...] = ()) -> None:
        facts = {"model_version": about or self.challenger, "missing_required": list(missing)}
        document(self.settings, "governance/file", {"completeness.json": facts}, facts)

    def give_evidence(self, *, problems: tuple[str, ...] = (), champion: str | None = None) -> None:
        subject = {"model_version": self.challenger}
        document(self.settings, "model/evaluation", {"evaluation.json": subject}, subject)
        document(self.settings, "model/validation", {"validation.json": subject}, subject)
        self.give_governance_file()
        facts = {
            "candidate": self.challenger, "champion": champion or self.champion, "problems": list(problems), "words": "as good",
            "evidence": "e" * 64, "record": {"gate_passed": True}, "headline": "version 2",
        }  # fmt: skip
        document(self.settings, promotion.CANARY, {"canary_report.json": [*problems, champion]}, facts)

    def ask_for(self, mode: str) -> None:
        path = self.settings.root / "policy.yaml"
        path.write_text(DEFAULT_PATH.read_text().replace("approval: auto", f"approval: {mode}"))
        os.environ["CREDITRISK_POLICY"] = str(path)
        self.settings = Settings()

    def add_approver(self, name: str) -> Path:
        path = self.settings.root.parent / f"{name}.pem"
        promoting.create_approver(self.settings, name, path)
        return path

    def approve(self, key: Path, days: float = 1) -> list[str]:
        token = promoting.sign(self.settings, "candidate", key, reason="looked at it", days=days, reject=False)
        return promoting.approve(self.settings, token)["missing"]

    def promote(self, word: str = "2", **how: Any) -> Entry:
        return promotion.promote(self.settings, word, identity="Ada", reason="it is better", **how)

    @property
    def version(self) -> versions.RegisteredVersion:
        connect(self.settings)
        return versions.named(NAME, "2")

    @property
    def in_use(self) -> str | None:
        path = follow(self.settings.bundles)
        return path.name if path else None

    @property
    def alias(self) -> str | None:
        connect(self.settings)
        found = versions.by_alias(NAME, "champion")
        return found.model_version if found else None

    @property
    def entries(self) -> tuple[Entry, ...]:
        with promotion.read_ledger(self.settings) as ledger:
            assert ledger.verify().findings == ()
            return ledger.entries()

    @property
    def on_record(self) -> str | None:
        champion = champion_at(self.entries)
        return champion.event.model_version if champion else None

    def require(self, version: str) -> None:
        """Require that pointer, alias and ledger name one version."""
        assert (self.in_use, self.alias, self.on_record) == (version, version, version)

    def alerts(self) -> list[str]:
        with AlertStore(self.settings.alerts_url) as store:
            return [alert.condition.what for alert in store.alerts()] if store.exists else []


@pytest.fixture(scope="module")
def prepared(template: Published, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose two bundles are stored and registered; copied for each test."""
    home = tmp_path_factory.mktemp("registered") / "home"
    shutil.copytree(template.home, home)
    before = dict(os.environ)
    os.environ["CREDITRISK_HOME"] = str(home)
    settings = Settings()
    connect(settings)
    import mlflow

    with quiet():
        mlflow.MlflowClient().create_registered_model(NAME)
    store_bundle(home / "made" / "challenger", settings.bundles, read_public_key(settings.keys))
    register(settings, template.champion)
    register(settings, template.challenger)
    versions.set_alias(versions.named(NAME, "1"), "champion")
    os.environ.clear()
    os.environ.update(before)
    return home


@pytest.fixture
def desk(prepared: Path, template: Published, tmp_path: Path) -> Iterator[Desk]:
    home = tmp_path / "home"
    shutil.copytree(prepared, home)
    os.environ["CREDITRISK_HOME"] = str(home)
    return Desk(Published(home, template.portfolio, template.champion, template.challenger))


@pytest.fixture
def replica() -> Iterator[Callable[[str], str]]:
    """Start replicas that report one version for ever; give their address."""
    servers: list[HTTPServer] = []

    def start(version: str) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = {"ready": True, "reasons": [], "warnings": [], "model_version": version}
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_: object) -> None:
                return

        server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_promotion_moves_everything_and_a_rollback_takes_it_back(desk: Desk) -> None:
    before = datetime.now(UTC)
    entry = desk.promote()
    desk.require(desk.challenger)
    assert entry.event.details["before"] == desk.champion
    record = json.loads((desk.settings.reports / "registry_promotion.json").read_text())
    assert (record["promoted"], record["champion_now"]["identity"]) == (True, "Ada")
    with pytest.raises(RefusedError, match="is the champion already"):
        desk.promote()
    promotion.roll_back(desk.settings, identity="Grace", reason="complaints")
    desk.require(desk.champion)
    assert [(e.event.kind, e.event.phase) for e in desk.entries] == [
        ("promotion", "done"), ("promotion", "intent"), ("promotion", "done"), ("rollback", "intent"), ("rollback", "done"),
    ]  # fmt: skip
    with pytest.raises(RefusedError, match="nothing to go back to"):
        promotion.roll_back(desk.settings, identity="Grace", reason="again")
    told = promoting.ledger(desk.settings, before, verify=True)
    assert (told["champion"], told["verification"]["findings"]) == (None, ())
    assert promoting.ledger(desk.settings, datetime.now(UTC), verify=False)["champion"]["identity"] == "Grace"


def test_two_approvals_by_two_people_who_did_not_train_it(desk: Desk) -> None:
    desk.ask_for("two")
    ada, grace, trainer = (desk.add_approver(name) for name in ("Ada", "Grace", "trainer"))
    with pytest.raises(RefusedError, match="2 of 2 approvals missing"):
        desk.promote()
    assert "1 of 2" in desk.approve(ada)[0]
    assert "nobody approves their own" in desk.approve(trainer)[1]
    with pytest.raises(RefusedError, match="1 of 2 approvals missing"):
        desk.promote()
    assert desk.in_use == desk.champion
    assert desk.approve(grace) == []
    desk.promote()
    desk.require(desk.challenger)


def test_an_approval_ends_with_its_time_and_with_its_evidence(desk: Desk) -> None:
    desk.ask_for("one")
    ada = desk.add_approver("Ada")
    token = promoting.sign(desk.settings, "2", ada, reason="looked", days=1, reject=False)
    short = promoting.sign(desk.settings, "2", ada, reason="looked", days=1e-9, reject=False)
    with pytest.raises(RefusedError, match="expired"):
        promotion.approve(desk.settings, short)
    promotion.approve(desk.settings, token)
    with pytest.raises(RefusedError, match="in the ledger already"):
        promotion.approve(desk.settings, token)
    subject = {"model_version": desk.challenger}
    document(desk.settings, "model/evaluation", {"evaluation.json": {**subject, "auc": 0.5}}, subject)
    with pytest.raises(RefusedError, match="approved other evidence"):
        desk.promote()
    promotion.approve(
        desk.settings, promoting.sign(desk.settings, "2", ada, reason="looked again", days=1, reject=False)
    )
    desk.promote()
    desk.require(desk.challenger)


def test_a_token_of_evidence_that_is_gone_is_not_taken(desk: Desk) -> None:
    token = promoting.sign(desk.settings, "2", desk.add_approver("Ada"), reason="looked", days=1, reject=False)
    subject = {"model_version": desk.challenger}
    document(desk.settings, "model/evaluation", {"evaluation.json": {**subject, "auc": 0.5}}, subject)
    with pytest.raises(RefusedError, match="other evidence than there is now"):
        promotion.approve(desk.settings, token)
    with pytest.raises(ApprovalError, match="no approval"):
        promotion.approve(desk.settings, "Ada")


def test_a_candidate_worse_than_the_margin_is_refused_and_an_override_is_on_record(desk: Desk) -> None:
    desk.give_evidence(problems=("AUC may be 0.0300 worse",))
    with pytest.raises(RefusedError, match="AUC may be"):
        desk.promote()
    with pytest.raises(RefusedError, match="validation cannot be overridden"):
        desk.promote(override=["validation"])
    desk.promote(override=["comparison"])
    assert ("override", "it is better") in [(e.event.kind, e.event.reason) for e in desk.entries]
    desk.require(desk.challenger)


@pytest.mark.parametrize("lacking", ["registry/canary", "model/validation", "model/evaluation"])
def test_missing_or_damaged_evidence_blocks(desk: Desk, lacking: str) -> None:
    home = desk.settings.lake / lacking
    if lacking == "model/validation":
        (file,) = home.glob("versions/*/validation.json")
        file.write_text("{}")
    else:
        shutil.rmtree(home)
    with pytest.raises(RefusedError, match="is missing"):
        desk.promote()
    assert desk.in_use == desk.champion


def test_evidence_older_than_the_bundle_blocks(desk: Desk) -> None:
    for path in (desk.settings.lake / "model" / "validation").glob("versions/*/manifest.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "created_at": "2020-01-01T00:00:00+00:00"}))
    with pytest.raises(RefusedError, match=r"validation of 2020.* is older than the bundle"):
        desk.promote()


def test_a_comparison_with_another_champion_blocks(desk: Desk) -> None:
    desk.give_evidence(champion="f" * 16)
    shutil.rmtree(desk.settings.lake / "registry" / "canary")
    desk.give_evidence(champion="f" * 16)
    with pytest.raises(RefusedError, match="compared with ffffffffffffffff, and the champion is"):
        desk.promote()


def test_a_governance_file_that_lacks_something_blocks(desk: Desk) -> None:
    desk.give_governance_file(missing=("GF-11",))
    with pytest.raises(RefusedError, match="the governance file lacks GF-11"):
        desk.promote()


def test_a_governance_file_of_another_model_speaks_for_no_version(desk: Desk) -> None:
    shutil.rmtree(desk.settings.lake / "governance" / "file")
    desk.give_governance_file(about="f" * 16)
    with pytest.raises(RefusedError, match="its governance file is missing"):
        desk.promote()


def test_a_stored_bundle_that_was_changed_is_not_promoted(desk: Desk) -> None:
    path = desk.settings.bundles / desk.challenger / "model.txt"
    path.write_text(path.read_text().replace("0.", "0.1", 1))
    with pytest.raises(BundleError, match="was changed"):
        desk.promote()
    path = desk.settings.bundles / desk.champion
    shutil.rmtree(desk.settings.bundles / desk.challenger)
    shutil.copytree(path, desk.settings.bundles / desk.challenger)
    with pytest.raises(RegistryError, match="is not the bundle that was registered"):
        desk.promote()
    assert desk.in_use == desk.champion


def test_a_bundle_is_loaded_by_its_alias_and_by_the_words_of_old(desk: Desk) -> None:
    connect(desk.settings)
    public = read_public_key(desk.settings.keys)
    loaded = {
        word: versions.load_by_alias(NAME, word, desk.settings.bundles, public).version
        for word in ("Production", "staging")
    }
    assert loaded == {"Production": desk.champion, "staging": desk.challenger}
    with pytest.raises(RegistryError, match="shadow of credit-risk-pd points to no version"):
        versions.load_by_alias(NAME, "shadow", desk.settings.bundles, public)
    with pytest.raises(RegistryError, match="candidate is moved by training"):
        promoting.give_alias(desk.settings, "1", "Staging", identity=None, reason="x", override=())
    named = promoting.give_alias(desk.settings, "2", "shadow", identity="Ada", reason="to be watched", override=())
    assert versions.load_by_alias(NAME, "shadow", desk.settings.bundles, public).version == desk.challenger
    assert (named.event.kind, desk.in_use) == ("alias", desk.champion)
    with pytest.raises(RegistryError, match="archived is no alias"):
        versions.named(NAME, "archived")
    with pytest.raises(RegistryError, match="no version 7"):
        versions.named(NAME, "7")


def test_mlflow_going_down_in_the_middle_changes_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: object) -> None:
        raise TrackingError("MLflow answered INTERNAL_ERROR: connection refused")

    with monkeypatch.context() as patched:
        patched.setattr(versions, "set_alias", down)
        with pytest.raises(ChangeError, match="connection refused; the promotion was taken back, the champion is"):
            desk.promote()
        assert (desk.in_use, desk.on_record) == (desk.champion, desk.champion)
        assert desk.entries[-1].event.details["alias_pending"]
        assert any("was taken back" in words for words in desk.alerts())
    desk.promote()  # up again: what was left is put right first
    desk.require(desk.challenger)
    assert desk.alerts() == []


def test_of_two_promotions_at_once_the_second_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def meanwhile(*_: object, **__: object) -> list[str]:
        with pytest.raises(BusyError, match="under way"):
            desk.promote()
        return []

    monkeypatch.setattr(promotion, "unconfirmed", meanwhile)
    desk.promote()
    desk.require(desk.challenger)


def promote_and_die(moment: str) -> None:
    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    if moment == "after the alias":
        promotion.changing.point_to = die
    else:
        promotion.unconfirmed = die
    promotion.promote(Settings(), "2", identity="Ada", reason="it is better")


@pytest.mark.parametrize("moment", ["after the alias", "after the pointer"])
def test_a_promotion_killed_between_alias_and_ledger_is_taken_back_by_whoever_comes_next(
    desk: Desk, moment: str
) -> None:
    dying = multiprocessing.get_context("fork").Process(target=promote_and_die, args=(moment,))
    dying.start()
    dying.join(120)
    assert dying.exitcode == -signal.SIGKILL
    assert desk.alias == desk.challenger
    assert desk.in_use == (desk.champion if moment == "after the alias" else desk.challenger)
    promotion.recover_registry(desk.settings)
    desk.require(desk.champion)
    desk.promote()
    desk.require(desk.challenger)


def test_a_replica_that_goes_on_with_the_old_version_takes_the_promotion_back(
    desk: Desk, replica: Callable[[str], str]
) -> None:
    good, stale = replica(desk.challenger), replica(desk.champion)
    settings = desk.settings.model_copy(update={"replicas": (good, stale), "replica_timeout_seconds": 1.0})
    with pytest.raises(ChangeError, match=f"{stale}: answers with {desk.champion}; the promotion was taken back"):
        promotion.promote(settings, "2", identity="Ada", reason="it is better")
    desk.require(desk.champion)
    assert any(stale in words for words in desk.alerts())
    settings = settings.model_copy(update={"replicas": (good,)})
    promotion.promote(settings, "2", identity="Ada", reason="it is better")
    desk.require(desk.challenger)
    gone = settings.model_copy(update={"replicas": ("http://127.0.0.1:9",)})
    with pytest.raises(ChangeError, match=r"does not answer \(ConnectError\); the rollback was taken back"):
        promotion.roll_back(gone, identity="Ada", reason="x")
    desk.require(desk.challenger)


def test_a_running_service_is_promoted_and_rolled_back(desk: Desk) -> None:
    with serving(desk.settings.root) as (_, port, _said):
        until = time.monotonic() + 120
        while ask(port, "GET", "/ready")[0] != 200:
            assert time.monotonic() < until
            time.sleep(0.2)
        settings = desk.settings.model_copy(update={"replicas": (f"http://127.0.0.1:{port}",)})
        reported = []
        promotion.promote(settings, "2", identity="Ada", reason="it is better")
        reported.append(json.loads(ask(port, "GET", "/ready")[1])["model_version"])
        promotion.roll_back(settings, identity="Ada", reason="complaints")
        reported.append(json.loads(ask(port, "GET", "/ready")[1])["model_version"])
    assert reported == [desk.challenger, desk.champion]
    desk.require(desk.champion)


def test_a_pointer_moved_by_hand_is_on_record(desk: Desk) -> None:
    (desk.settings.bundles / "CURRENT").write_text(json.dumps({"version": desk.challenger}))
    promotion.recover_registry(desk.settings)
    assert (desk.on_record, desk.entries[-1].event.identity) == (desk.challenger, "unknown")
    (desk.settings.bundles / "CURRENT").unlink()
    promotion.recover_registry(desk.settings)
    assert desk.in_use == desk.challenger


def test_a_champion_whose_bundle_is_gone_is_none_and_the_next_needs_its_approvals_all_the_same(desk: Desk) -> None:
    promotion.recover_registry(desk.settings)
    shutil.rmtree(desk.settings.bundles / desk.champion)
    (desk.settings.bundles / "CURRENT").unlink()
    promotion.recover_registry(desk.settings)
    assert (desk.on_record, desk.entries[-1].event.reason) == (
        None,
        f"the bundle of {desk.champion} is gone: nothing is in use",
    )
    desk.ask_for("two")
    promotion.settle(desk.settings, Lake(desk.settings.lake))
    assert desk.in_use is None
    desk.ask_for("auto")
    promotion.settle(desk.settings, Lake(desk.settings.lake))
    desk.require(desk.challenger)


def test_the_platform_promotes_by_itself_once_where_the_policy_says_so(desk: Desk) -> None:
    lake = Lake(desk.settings.lake)
    desk.ask_for("one")
    promotion.settle(desk.settings, lake)
    assert desk.in_use == desk.champion
    desk.ask_for("auto")
    promotion.settle(desk.settings, lake)
    desk.require(desk.challenger)
    promotion.roll_back(desk.settings, identity="Ada", reason="complaints")
    promotion.settle(desk.settings, lake)  # the next night
    desk.require(desk.champion)


def test_a_candidate_with_problems_is_not_promoted_by_itself(desk: Desk) -> None:
    shutil.rmtree(desk.settings.lake / "registry" / "canary")
    desk.give_evidence(problems=("it is worse",))
    promotion.settle(desk.settings, Lake(desk.settings.lake))
    assert desk.in_use == desk.champion


def test_the_jobs_of_the_ui_approve_promote_and_roll_back(desk: Desk) -> None:
    desk.ask_for("one")
    token = promoting.sign(desk.settings, "candidate", desk.add_approver("Ada"), reason="looked", days=1, reject=False)
    from creditrisk_assets.definitions import build_defs

    definitions = build_defs()

    def run(job: str, op: str, **config: str) -> dg.ExecuteInProcessResult:
        given = {"ops": {op: {"config": config}}}
        return definitions.resolve_job_def(job).execute_in_process(run_config=given, raise_on_error=False)

    assert not run("promote_version", "promote", version="2", reason="it is better").success
    assert not run("approve_version", "approve", token="typed name").success
    assert run("approve_version", "approve", token=token).success
    assert run("promote_version", "promote", version="2", reason="it is better").success
    desk.require(desk.challenger)
    assert run("rollback_champion", "roll_back", reason="complaints").success
    desk.require(desk.champion)


def test_the_ledger_on_postgresql_is_one_chain_and_lets_one_change_at_a_time(
    empty_postgresql: str, tmp_path: Path
) -> None:
    key = Ed25519PrivateKey.generate()

    def opened() -> Ledger:
        url = SecretStr(empty_postgresql.replace("postgresql://", "postgresql+psycopg2://"))
        return Ledger(url, tmp_path / "checkpoints.jsonl", public_bytes(key), key)

    with opened() as one, opened() as other:
        for number in range(4):
            (one, other)[number % 2].append(Event("promotion", f"{number:016x}", "Ada", "a reason"))
        assert (one.verify().entries, one.verify().findings) == (4, ())
        with (
            one.exclusive(tmp_path / "lock of one machine"),
            pytest.raises(BusyError, match="under way"),
            other.exclusive(tmp_path / "lock of another"),
        ):
            pass
        with other.exclusive(tmp_path / "lock of another"):
            pass


def test_pruning_keeps_what_a_pointer_a_champion_ever_or_a_decision_names(desk: Desk) -> None:
    from creditrisk_serving.pruning import prune
    from creditrisk_serving.settings import ServingSettings

    bundles = desk.settings.bundles
    never = timedelta(seconds=-60)

    def pruned(*, delete: bool) -> list[str]:
        return prune(ServingSettings(), never, delete=delete).bundles

    promotion.recover_registry(desk.settings)
    assert pruned(delete=False) == [desk.challenger]
    assert (bundles / desk.challenger).is_dir()
    desk.promote()
    promotion.roll_back(desk.settings, identity="Ada", reason="complaints")
    assert pruned(delete=True) == []
    for alias in ("registry.db", "checkpoints/registry.jsonl"):
        (desk.settings.root / alias).unlink()
    with Client(desk.settings.root) as client:
        decided = client.post("/predict", {"applicant_ids": [FIRST_ID]}).json()["model_version"]
    assert decided == desk.champion
    (bundles / "CURRENT").write_text(json.dumps({"version": desk.challenger}))
    assert pruned(delete=True) == []  # the champion is named by its decision alone
    assert (bundles / desk.champion).is_dir()


def test_a_shadow_is_published_by_its_name_and_gone_with_it(desk: Desk) -> None:
    connect(desk.settings)
    how = {"identity": None, "reason": "a month beside the champion"}
    with pytest.raises(RefusedError, match="compared with itself"):
        promoting.give_alias(desk.settings, "champion", "shadow", override=(), **how)
    with pytest.raises(RefusedError, match="no version is shadow"):
        promoting.take_name(desk.settings, "shadow", **how)
    with pytest.raises(RegistryError, match="champion is not taken back"):
        promoting.take_name(desk.settings, "champion", **how)
    entry = promoting.give_alias(desk.settings, "2", "shadow", override=(), **how)
    assert promoting.changed_words(desk.settings, entry).startswith(f"{desk.challenger} is shadow")
    pointed = follow(desk.settings.bundles, "SHADOW")
    assert pointed is not None
    assert (pointed.name, desk.in_use) == (desk.challenger, desk.champion)
    with pytest.raises(RefusedError, match="no version 0123 is shadow"):
        promotion.withdraw_name(desk.settings, "shadow", identity="Ada", reason="worse", expected="0123")
    taken = promoting.take_name(desk.settings, "shadow", **how)
    assert promoting.changed_words(desk.settings, taken).startswith(f"{desk.challenger} is no longer shadow")
    assert follow(desk.settings.bundles, "SHADOW") is None
    assert versions.by_alias(NAME, "shadow") is None
    assert [e.event.details["alias"] for e in desk.entries if e.event.kind == "alias"] == ["shadow", "shadow"]
    desk.require(desk.champion)


def test_a_process_that_died_between_the_shadow_and_the_ledger_leaves_none(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    promotion.recover_registry(desk.settings)
    monkeypatch.setattr(Ledger, "append", die)
    with pytest.raises(KeyboardInterrupt):
        promotion.name_version(desk.settings, "2", "shadow", identity="Ada", reason="a month beside the champion")
    monkeypatch.undo()
    monkeypatch.setenv("CREDITRISK_HOME", str(desk.settings.root))
    assert follow(desk.settings.bundles, "SHADOW") is not None
    promotion.recover_registry(desk.settings)
    assert follow(desk.settings.bundles, "SHADOW") is None


def forge(desk: Desk, event: Event) -> None:
    """Add an entry as whoever writes the database could: in the chain, and signed by nobody."""
    with sqlite3.connect(desk.settings.root / "registry.db") as connection:
        sequence, before = connection.execute("select sequence, hash from ledger order by 1 desc limit 1").fetchone()
        content = event.to_json()
        row = (sequence + 1, content, link(before, sequence + 1, content), "A" * 88)
        connection.execute("insert into ledger values (?, ?, ?, ?)", row)
    connection.close()


def test_an_approver_whom_the_platform_did_not_write_down_approves_nothing(desk: Desk) -> None:
    desk.ask_for("one")
    desk.add_approver("Ada")
    stranger = Ed25519PrivateKey.generate()
    half = base64.b64encode(public_bytes(stranger)).decode()
    forge(desk, Event("approver", "", "Ada", "known", details={"approver": "Mallory", "public_key": half}))
    with promotion.read_ledger(desk.settings) as ledger:
        entries = ledger.entries()
    evidence = promotion.collect_evidence(desk.settings, Lake(desk.settings.lake), desk.version)
    token = approvals.sign_approval(
        stranger, entries, model_version=desk.challenger, evidence=evidence.sha256, reason="x", lasts=timedelta(days=1)
    )
    with pytest.raises(RefusedError, match="not as it was written"):
        promotion.approve(desk.settings, token)
    forge(desk, approvals.approval_event(token, approvals.read_approval(token, {"Mallory": half})))
    with pytest.raises(RefusedError, match=r"not as it was written \(entry 2 is not signed by the platform's key\)"):
        desk.promote()
    assert desk.in_use == desk.champion
    assert any("the ledger is not as it was written" in words for words in desk.alerts())


def test_a_forged_intent_moves_no_pointer(desk: Desk) -> None:
    promotion.recover_registry(desk.settings)
    forge(desk, Event("promotion", desk.champion, "x", "x", phase="intent", details={"before": desk.challenger}))
    for change in (
        lambda: promotion.recover_registry(desk.settings),
        lambda: promotion.roll_back(desk.settings, identity="Ada", reason="x"),
    ):
        with pytest.raises(RefusedError, match="nothing is changed by it; see `creditrisk ledger --verify`"):
            change()
    promotion.settle(desk.settings, Lake(desk.settings.lake))  # a run goes on, and is alerted
    assert desk.in_use == desk.champion
    assert desk.alerts()


def test_a_revocation_that_was_cut_off_is_found_before_its_approver_counts_again(desk: Desk) -> None:
    desk.ask_for("one")
    desk.approve(desk.add_approver("Ada"))
    promoting.revoke_approver(desk.settings, "Ada", "left")
    with sqlite3.connect(desk.settings.root / "registry.db") as connection:
        connection.execute("delete from ledger where sequence = (select max(sequence) from ledger)")
    connection.close()
    with pytest.raises(RefusedError, match="was cut off; a checkpoint holds it"):
        desk.promote()
    assert desk.in_use == desk.champion
