"""The shadow: a second bundle that scores what the champion scores, and decides on nobody.

What belongs here: loading and proving it, scoring by it, keeping whatever goes wrong with it away from the answer. What does not: the
champion (`champion`), what is concluded from both (`creditrisk_assets.registry.sequential`).

A shadow costs no feature anew: it takes what was computed or looked up for the champion, so its families must mean what the champion's do.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from creditrisk_assets.lake import LakeError
from creditrisk_assets.mirror import BUNDLES, Mirror
from creditrisk_assets.modelling.bundle import SHADOW_POINTER, Bundle, BundleError, follow
from creditrisk_serving.decisions.schemas import Shadowed
from creditrisk_serving.observability import LOG, Metrics, place_of
from creditrisk_serving.online.matrix import MatrixReader
from creditrisk_serving.scoring.features import Features
from creditrisk_serving.scoring.lookup import PublishedFeatures, misfits
from creditrisk_serving.scoring.slots import Slots

Loader = Callable[[Path], Bundle]
RETRY_SECONDS = 15.0  # what was refused is not loaded every second


class Shadow:
    """A proven bundle beside one champion and one snapshot of the online store.

    Parameters
    ----------
    bundle
        Verified.
    reader
        What lays rows of the snapshot into its own; None: there is no snapshot.
    metrics
        Where its scores and failures are counted.
    """

    def __init__(self, bundle: Bundle, slots: Slots, reader: MatrixReader | None, metrics: Metrics) -> None:
        self.bundle = bundle
        self._slots, self._reader, self._metrics = slots, reader, metrics
        self._ruled = [rule.feature for rule in bundle.policy.eligibility]
        self._told = False

    def judge(self, features: Features) -> Mapping[int, Shadowed]:
        """Score the applicants of a request; whatever goes wrong is counted and told once, and then there is nothing.

        Returns
        -------
        mapping
            Applicant -> what would have been decided; one without finite features is not in it.
        """
        try:
            found = self._judged(features)
        except Exception as error:  # an answer is worth more than any shadow
            self._metrics.shadowed["failed",].inc(len(features.featured))
            if not self._told:
                self._told = True
                fields = {"model_version": self.bundle.version, "exception": place_of(error)}
                LOG.error("shadow_failed", extra={"fields": fields})
            return {}
        self._metrics.shadowed["scored",].inc(len(found))
        return found

    def _judged(self, features: Features) -> dict[int, Shadowed]:
        matrix, bundle = self._slots.matrix(len(features.featured)), self.bundle
        for row, one in zip(matrix, features.featured, strict=True):
            applicant = one.applicant.applicant_id
            if self._reader is not None and (packed := features.stored.get(applicant)) is not None:
                self._reader.lay(applicant, packed, row)
            for family, values in features.computed.get(applicant, {}).items():
                if family in self._slots.columns:
                    self._slots.put(row, family, values)
        numbers, _ = self._slots.seen(matrix)
        pds = map(bundle.calibrator.pd, bundle.booster.margins(numbers).tolist())
        infinite: list[bool] = np.logical_or.reduce(np.isinf(numbers), axis=1).tolist()
        found = {}
        for row, one, pd, beyond in zip(matrix, features.featured, pds, infinite, strict=True):
            if not beyond:
                outcome = bundle.policy.decide(pd, self._slots.named(row, self._ruled))
                found[one.applicant.applicant_id] = Shadowed(bundle.version, pd, outcome.decision, outcome.band)
        return found


class Shadows:
    """Follows the published shadow.

    Parameters
    ----------
    bundles, mirror
        Where its pointer and its bundle are; with an object store, the pointer there is what counts.
    load
        Verifies a bundle.
    metrics
        Where loads, scores and failures are counted.
    """

    def __init__(self, bundles: Path, mirror: Mirror | None, load: Loader, metrics: Metrics) -> None:
        self._bundles, self._mirror, self._load, self._metrics = bundles, mirror, load, metrics
        self._loaded: tuple[Bundle, Slots] | None = None
        self._refused: tuple[str, ...] = ()  # shadow, champion and the problem told last
        self._refused_at = 0.0

    def beside(self, champion: Bundle, published: PublishedFeatures | None, now: Shadow | None) -> Shadow | None:
        """Return the published shadow of a champion, `now` if it still is; None: there is none, or it cannot be one, which is told once."""
        try:
            name = self._named()
        except LakeError as error:
            self._refuse("", champion.version, str(error))
            return now
        except BundleError as error:
            self._refuse("", champion.version, str(error))
            return None
        if self._refused[:2] == (name, champion.version) and time.monotonic() - self._refused_at < RETRY_SECONDS:
            return None
        try:
            if name is None or name == champion.version:
                self._loaded = None
                return self._adopt(None)
            if now is not None and now.bundle.version == name:
                return now
            bundle, slots = self._read(name)
            if problems := _strange(champion.plan, bundle, slots, published):
                raise BundleError("; ".join(problems))
        except BundleError as error:
            self._refuse(name or "", champion.version, str(error))
            return None
        except Exception as error:  # the champion's follower must outlive any surprise of a shadow
            place = place_of(error)
            self._refuse(name or "", champion.version, f"{place['type']} at {place['at']}")
            return None
        reader = None if published is None else slots.reader(published.snapshot.layout)
        return self._adopt(Shadow(bundle, slots, reader, self._metrics))

    def _named(self) -> str | None:
        if self._mirror is not None:
            return self._mirror.pointed(self._bundles, BUNDLES, SHADOW_POINTER)
        path = follow(self._bundles, SHADOW_POINTER)
        return None if path is None else path.name

    def _read(self, name: str) -> tuple[Bundle, Slots]:
        if self._loaded is None or self._loaded[0].version != name:
            self._loaded = None
            bundle = self._load(self._bundles / name)
            self._loaded = bundle, Slots(bundle)
        return self._loaded

    def _adopt(self, shadow: Shadow | None) -> Shadow | None:
        self._refused = ()
        self._metrics.shadow_in_use(None if shadow is None else shadow.bundle.version)
        if shadow is not None:
            self._metrics.swaps["shadow_loaded",].inc()
            LOG.info("shadow_loaded", extra={"fields": {"model_version": shadow.bundle.version}})
        return shadow

    def _refuse(self, name: str, champion: str, problem: str) -> None:
        """Tell why there is no shadow, once."""
        self._refused_at = time.monotonic()
        if self._refused != (about := (name, champion, problem)):
            self._refused = about
            self._metrics.shadow_in_use(None)
            self._metrics.swaps["shadow_refused",].inc()
            LOG.error("shadow_refused", extra={"fields": {"model_version": name, "problem": problem}})


def _strange(
    champion: Mapping[str, Any], bundle: Bundle, slots: Slots, published: PublishedFeatures | None
) -> list[str]:
    """Say which features the shadow takes that nobody computes for the champion."""
    theirs, mine = champion["families"], bundle.plan["families"]
    found = [
        f"features/{name} means something else to it than to the champion, so its features would have to be computed for it alone:"
        " compare it in registry/canary"
        for name, columns in slots.columns.items()
        if columns and (name not in theirs or any(theirs[name][k] != mine[name][k] for k in ("definition", "columns")))
    ]
    if published is not None and not found:
        wanted = {name: columns for name, columns in slots.columns.items() if columns}
        found += misfits(published.snapshot, wanted, bundle.definitions)
    return found
