"""An applicant who was looked up by id: raw columns read back from published features, and the same features with some of them changed.

What belongs here: which raw columns a published feature holds, carrying a change of them to the features that follow. What does not: which
changes help (`search`), actions (`actions`).

The online store keeps features and no raw rows. Raw columns that are features themselves are read back, all that any
feature made of an actionable column is made of (a test holds the list to the lineage), and the application family is
computed from them before and after a change. A feature that moves must have been computed before to what the store
holds, or the change is not carried.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from creditrisk_serving.online.matrix import MatrixReader
from creditrisk_serving.recourse.actions import Held
from creditrisk_serving.scoring.champion import Champion
from creditrisk_serving.scoring.features import APPLICATION
from creditrisk_serving.scoring.service import Scored

TOLERANCE = 1e-9  # relative: what is stored was computed from the same raw columns, maybe by another engine
Row = NDArray[np.float64]


class KnownApplicant:
    """An applicant with published features, whom changes can be tried on.

    Parameters
    ----------
    champion
        The model in use.
    now
        The applicant as it is, scored by it.
    held
        Raw column -> the feature that holds it.
    """

    def __init__(self, champion: Champion, now: Scored, held: Mapping[str, Held]) -> None:
        self._champion, self._now = champion, now
        self.sent: Mapping[str, Any] = {"application": self._read_back(held), "histories": {}}
        self._stored: Row = champion.source.features([now.featured.applicant]).matrix[0]
        self._before = self._computed(self.sent["application"])

    def rescore(self, application: Mapping[str, Any]) -> Scored | None:
        """Score the applicant with a changed application; None: a feature that moves is not known to follow from what was read back."""
        after = self._computed(application["application"])
        moved = ~_equal(after, self._before, 0.0)
        if not _equal(self._before[moved], self._stored[moved], TOLERANCE).all():
            return None
        row, bundle, slots = np.where(moved, after, self._stored), self._champion.bundle, self._champion.source.slots
        numbers, _ = slots.seen(row[np.newaxis])
        (margin,) = bundle.booster.margins(numbers).tolist()
        pd = bundle.calibrator.pd(margin)
        ruled = slots.named(row, [rule.feature for rule in bundle.policy.eligibility])
        return Scored(self._now.featured, margin, pd, [], numbers[0], ruled, bundle.policy.decide(pd, ruled))

    def _read_back(self, held: Mapping[str, Held]) -> dict[str, float]:
        """Read the raw columns that are published; nothing where a snapshot lacks one, which would pass for unknown."""
        published, applicant = self._champion.published, self._now.featured.applicant.applicant_id
        if published is None or (packed := published.find([applicant]).get(applicant)) is None:
            return {}
        layout = published.snapshot.layout
        if {one.feature for one in held.values()} - {name for family in layout.families for name, _ in family.columns}:
            return {}
        reader = MatrixReader(layout, [one.feature for one in held.values()], {}, {})
        values = np.empty(len(held))
        replace(published, reader=reader).lay(applicant, packed, values)
        columns = self._champion.bundle.plan["tables"][APPLICATION]["columns"]
        whole = {column["name"] for column in columns if column["type"] == "int"}
        found = zip(held.items(), values.tolist(), strict=True)
        raw = {column: one.times * value for (column, one), value in found if not np.isnan(value)}
        return {column: int(value) if column in whole else value for column, value in raw.items()}

    def _computed(self, application: Mapping[str, Any]) -> Row:
        """Lay the application family of an application into an otherwise unknown row."""
        source = self._champion.source
        row: Row = source.slots.matrix(1)[0]
        source.slots.put(row, APPLICATION, source.engine.application(application))
        return row


def _equal(one: Row, other: Row, tolerance: float) -> NDArray[np.bool_]:
    near: NDArray[np.bool_] = np.abs(one - other) <= tolerance * np.maximum(1.0, np.abs(other))
    return near | (np.isnan(one) & np.isnan(other))
