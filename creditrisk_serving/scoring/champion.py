"""The bundle in use, and following the published one without a restart.

What belongs here: loading, proving and swapping; what /ready tells of it. What does not: how a bundle is verified
(`modelling.bundle`), scoring with it (`service`).
"""

import hashlib
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb

from creditrisk_assets.features.request import RequestFeatures
from creditrisk_assets.lake import LakeError
from creditrisk_assets.mirror import BUNDLES, QUICK, mirror_of
from creditrisk_assets.modelling.bundle import MANIFEST, Bundle, BundleError, follow
from creditrisk_serving.decisions.inputs import layout_of
from creditrisk_serving.observability import LOG, Metrics, place_of
from creditrisk_serving.online.store import OnlineStore, OnlineStoreError, Rows
from creditrisk_serving.scoring.features import FeatureSource
from creditrisk_serving.scoring.lookup import (
    LookupUnavailableError,
    MaxAge,
    PublishedFeatures,
    open_features,
    stale_after,
)
from creditrisk_serving.scoring.ranges import TrainingRange
from creditrisk_serving.scoring.reading import Reader
from creditrisk_serving.scoring.rules import Rules, compile_rules
from creditrisk_serving.scoring.shadow import Shadow, Shadows
from creditrisk_serving.scoring.slots import Slots
from creditrisk_serving.settings import ServingSettings
from creditrisk_serving.trust import trusted_key

RETRY_SECONDS = 15.0  # what stood in a bundle's way may lie outside it: a public key not copied yet, a full disk


@dataclass(frozen=True)
class Champion:
    """A proven bundle with everything compiled from it; never changed, only replaced."""

    bundle: Bundle
    bundle_sha256: str
    policy_version: str
    rules: Rules
    reader: Reader
    ranges: TrainingRange
    layout: tuple[str, bytes]  # of its inputs in the decision log: id and JSON
    source: FeatureSource
    shadow: Shadow | None = None  # scores beside it

    @property
    def published(self) -> PublishedFeatures | None:
        """The snapshot of the online store it looks applicants up in."""
        return self.source.published

    @property
    def wanted(self) -> Mapping[str, tuple[str, ...]]:
        """The features it takes, by family."""
        return self.source.slots.columns


@dataclass(frozen=True)
class Standing:
    """What is in use, and what stands against it."""

    champion: Champion | None = None
    bundle_problem: str | None = None  # why the published bundle is not the one in use
    store_problem: str | None = None  # why the online store's current snapshot is not the one in use


class Follower:
    """Keeps the published bundle and the online store's snapshot in use; requests read one reference and are never interrupted.

    A new bundle whose features the store does not have yet waits, while the old one goes on with the old snapshot.

    Parameters
    ----------
    settings
        Where bundles, online store and the trusted public key are.
    metrics
        Where loads are counted.
    """

    def __init__(self, settings: ServingSettings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._mirror = mirror_of(settings.platform, attempts=QUICK)
        self._store = OnlineStore(settings.platform.online, settings.platform.online_store_url)
        hours = {name: timedelta(hours=value) for name, value in settings.family_max_age_hours.items()}
        self._ages = MaxAge(timedelta(hours=settings.max_age_hours), hours)
        self._refreshing = threading.Lock()
        self._shadows = Shadows(settings.platform.bundles, self._mirror, self._proven, metrics)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bundle-follower", daemon=True)
        self._refused: tuple[Path, int] | None = None  # the bundle last refused, and when: not loaded every second
        self._refused_at = 0.0
        self._waiting: Champion | None = None  # proven, but the online store does not have its features yet
        self._left: Rows | None = None  # a request may still read the snapshot before this one
        self.standing = Standing()

    def start(self) -> None:
        """Load what is published, then keep following it; nobody waits for a shadow."""
        self._look()
        self._thread.start()

    def stop(self) -> None:
        """Stop following."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        champion = self.standing.champion
        for rows in (self._left, champion.published.rows if champion and champion.published else None):
            if rows is not None:
                rows.close()
        self._store.close()

    def refresh(self) -> Standing:
        """Look once at what is published and swap to it if it is proven; what is in use stays otherwise."""
        with self._refreshing:
            old = self.standing.champion
            champion, bundle_problem = self._bundle()
            champion, store_problem = self._features(champion)
            if self._must_wait(old, champion):
                self._waiting, champion = champion, old
            else:
                self._waiting = None
                self._adopt(old, champion)
            self.standing = Standing(champion, bundle_problem, store_problem)
            return self.standing

    def accompany(self) -> None:
        """Look once at what is published as the champion's shadow."""
        with self._refreshing:
            if (champion := self.standing.champion) is not None:
                shadow = self._shadows.beside(champion.bundle, champion.published, champion.shadow)
                if shadow is not champion.shadow:
                    self.standing = replace(self.standing, champion=replace(champion, shadow=shadow))

    @staticmethod
    def _must_wait(old: Champion | None, new: Champion | None) -> bool:
        """Tell whether a new bundle would leave the service without lookups that the old one can answer."""
        if old is None or new is None or old.bundle.version == new.bundle.version:
            return False
        return old.published is not None and new.published is None

    def _run(self) -> None:
        self.accompany()
        while not self._stopped.wait(self._settings.poll_seconds):
            self._look()
            self.accompany()

    def _look(self) -> None:
        try:
            self.refresh()
        except Exception as error:  # the follower must outlive any surprise; it says so and looks again
            LOG.error("follow_failed", extra={"fields": {"exception": place_of(error)}})

    def _bundle(self) -> tuple[Champion | None, str | None]:
        """Return the champion to use, and why the published bundle is not it."""
        old = self.standing.champion
        unreached = self._fetch()
        try:
            path = follow(self._settings.platform.bundles)
            if path is None:
                return old, unreached or "no model bundle was published; run `creditrisk run`"
            stamp = (path, _modified(path))
            for known in (old, self._waiting):
                if known is not None and path.name == known.bundle.version:
                    self._refused = None
                    return known, unreached
            if stamp == self._refused and time.monotonic() - self._refused_at < RETRY_SECONDS:
                return old, self.standing.bundle_problem
            self._refused, self._refused_at = stamp, time.monotonic()
            champion = self._load(path)
        except BundleError as error:
            return old, self._refuse(str(error))
        except (duckdb.Error, KeyError, TypeError, ValueError) as error:
            return old, self._refuse(f"the bundle's plan does not run here ({type(error).__name__})", error)
        self._refused = None
        return champion, unreached

    def _fetch(self) -> str | None:
        """Fetch the bundle published in the object store, if one is configured; say why it could not be. What is here stays in use."""
        if self._mirror is None:
            return None
        try:
            self._mirror.pull(self._settings.platform.bundles, BUNDLES)
        except LakeError as error:
            if str(error) != self.standing.bundle_problem:
                LOG.error("fetch_failed", extra={"fields": {"problem": str(error)}})
            return str(error)
        return None

    def _proven(self, path: Path) -> Bundle:
        """Verify a bundle by all a champion is verified by, without keeping what is compiled from it."""
        return self._load(path).bundle

    def _load(self, path: Path) -> Champion:
        bundle = Bundle.load(path, trusted_key(self._settings))
        engine = RequestFeatures(bundle.plan)
        _prove(bundle, engine)
        return Champion(
            bundle=bundle,
            bundle_sha256=hashlib.sha256((path / MANIFEST).read_bytes()).hexdigest(),
            policy_version=policy_version(bundle),
            rules=compile_rules(bundle.plan),
            reader=Reader(bundle.plan),
            ranges=TrainingRange(bundle.features, bundle.reference),
            layout=layout_of(bundle.features),
            source=FeatureSource(bundle.plan, Slots(bundle), engine, None),
        )

    def _adopt(self, old: Champion | None, champion: Champion | None) -> None:
        """Tell metrics and log of a bundle that comes into use."""
        if champion is None or (old is not None and old.bundle.version == champion.bundle.version):
            return
        version = champion.bundle.version
        self._metrics.in_use(version, champion.bundle_sha256, champion.policy_version)
        self._metrics.swaps["loaded",].inc()
        fields = {"model_version": version, "bundle_sha256": champion.bundle_sha256}
        LOG.info("bundle_loaded", extra={"fields": fields})

    def _refuse(self, problem: str, error: Exception | None = None) -> str:
        if problem != self.standing.bundle_problem:
            self._metrics.swaps["refused",].inc()
            old = self.standing.champion
            fields: dict[str, Any] = {"problem": problem, "kept": old.bundle.version if old else None}
            if error is not None:
                fields["exception"] = place_of(error)
            LOG.error("bundle_refused", extra={"fields": fields})
        return problem

    def _features(self, champion: Champion | None) -> tuple[Champion | None, str | None]:
        """Pin the online store's current snapshot to the champion when either is new."""
        if champion is None:
            return None, None
        old = self.standing.champion.published if self.standing.champion else None
        try:
            current = self._store.current()
            mine = champion.published
            if mine is not None and current is not None and current.name == mine.snapshot.name:
                if current.verified_at != mine.verified_at:
                    until = stale_after(current.verified_at, champion.wanted, self._ages)
                    mine = replace(mine, verified_at=current.verified_at, stale_after=until)
                return _pinned(champion, mine), None
            published = open_features(self._store, champion.source.slots, champion.bundle.definitions, self._ages)
        except (OnlineStoreError, LookupUnavailableError) as error:
            problem = str(error)
            kept = old if old is not None and _fits(old, champion) else None
            if problem != self.standing.store_problem:
                LOG.error("features_refused", extra={"fields": {"problem": problem, "kept": kept is not None}})
            return _pinned(champion, kept), problem
        LOG.info("features_pinned", extra={"fields": {"versions": published.versions}})
        if self._left is not None:
            self._left.close()
        self._left = None if old is None else old.rows
        return _pinned(champion, published), None


def _pinned(champion: Champion, published: PublishedFeatures | None) -> Champion:
    """Return the champion with a snapshot; its shadow reads one snapshot alone."""
    before = champion.published
    same = (before and before.rows) is (published and published.rows)
    source = replace(champion.source, published=published)
    return replace(champion, source=source, shadow=champion.shadow if same else None)


def policy_version(bundle: Bundle) -> str:
    """Name the policy inside a bundle: its number and the start of its hash."""
    return f"{bundle.policy.version}-{bundle.policy.digest[:12]}"


def _fits(published: PublishedFeatures, champion: Champion) -> bool:
    """Tell whether a pinned snapshot gives a champion the features it takes, meaning what it learned."""
    return published.definitions == champion.bundle.definitions and all(
        published.columns.get(name) == columns for name, columns in champion.wanted.items()
    )


def _modified(path: Path) -> int:
    try:
        return (path / MANIFEST).stat().st_mtime_ns
    except OSError:
        return 0


def _prove(bundle: Bundle, engine: RequestFeatures) -> None:
    """Check that the plan's SQL runs here and gives every feature the model takes.

    Raises
    ------
    BundleError
        A feature of the model comes from no family of the plan.
    """
    families = bundle.plan["families"]
    given = {name for family in families.values() for name, _ in family["columns"]} | set(bundle.plan["presence"])
    if missing := [name for name in bundle.needed_names if name not in given]:
        raise BundleError(
            f"{len(missing)} features of the model or its hard rules are in no family of its plan, among them {', '.join(missing[:3])}"
        )
    engine.compute([{"SK_ID_CURR": 1}], {})
    if engine.interpreted:
        LOG.warning("features_interpreted", extra={"fields": {"families": engine.interpreted}})
