"""Which segments of applicants grew or shrank.

What belongs here: shares of the policy's segments, before and now. What does not: PDs and outcomes by segment (`performance`, fairness).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from creditrisk_assets.features.statement import KEY

COLUMNS = ("segment", "value", "share_before", "share_now", "mean_pd_now")
UNKNOWN = "unknown"


def moved_segments(
    reference: Path, current: Path, segments: Sequence[str], ids: NDArray[np.int64], pds: NDArray[np.float64]
) -> pd.DataFrame:
    """Compare the shares of segments, those that changed most first.

    Parameters
    ----------
    reference, current
        Parquet with the segments' columns; one that either lacks is left out.
    segments
        The policy's.
    ids, pds : (n,)
        The applicants of the current table that count, and their PDs.
    """
    present = [set(pq.read_schema(table).names) for table in (reference, current)]
    known = [name for name in segments if name in present[0] & present[1]]
    before = pq.read_table(reference, columns=known).to_pandas()
    now = pq.read_table(current, columns=[KEY, *known]).to_pandas().set_index(KEY).loc[ids]
    rows = []
    for name in known:
        sides = [side[name].astype(object).where(side[name].notna(), UNKNOWN).astype(str) for side in (before, now)]
        shares = [side.value_counts(normalize=True) for side in sides]
        mean_pds = pd.Series(pds, index=sides[1].to_numpy()).groupby(level=0).mean()
        for value in sorted(set(shares[0].index) | set(shares[1].index)):
            share_before, share_now = (float(side.get(value, 0.0)) for side in shares)
            rows.append((name, value, share_before, share_now, float(mean_pds.get(value, np.nan))))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    order = (table["share_now"] - table["share_before"]).abs().sort_values(ascending=False, kind="stable").index
    return table.loc[order].reset_index(drop=True)
