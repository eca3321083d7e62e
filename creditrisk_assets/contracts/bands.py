"""Comparisons of a table with its last good version: volume, unknown values, orphans.

What belongs here: the bands and their verdicts, as pure functions of two profiles. What does not: measuring
(`check`), keeping the profile (the lake).

A table that was emptied, loaded twice or cut to a tenth obeys every rule on its rows; only the comparison shows it.
"""

from math import sqrt
from typing import Literal

from creditrisk_assets.contracts.report import Profile, RuleResult

VOLUME = (0.5, 1.5)  # of the last good version's rows
NULL_SHARE = 0.10  # absolute change
ORPHAN_RISE = 0.10  # absolute rise
NOISE = 4.0  # standard errors of a share that small tables may differ by on top

REMEDY = (
    "if the change is meant, relax the rule for this table, with a reason and an expiry, for the run that takes it in"
)


def compare(table: str, profile: Profile, baseline: Profile | None) -> list[RuleResult]:
    """Judge volume and unknown values against the last good version."""
    if baseline is None:
        why = "there is no earlier version to compare with"
        return [
            RuleResult("volume_in_band", None, "error", description=_VOLUME_WORDS, applicable=False, observed=why),
            RuleResult("null_share_in_band", None, "error", description=_NULL_WORDS, applicable=False, observed=why),
        ]
    shared = [name for name in profile.null_shares if name in baseline.null_shares]
    return [_volume(table, profile, baseline), *(_null_share(name, profile, baseline) for name in shared)]


_VOLUME_WORDS = f"the number of rows is {VOLUME[0]} to {VOLUME[1]} times that of the last good version"
_NULL_WORDS = f"the share of NULL differs by at most {NULL_SHARE} from the last good version"


def _volume(table: str, profile: Profile, baseline: Profile) -> RuleResult:
    ratio = profile.rows / baseline.rows if baseline.rows else 1.0
    held = VOLUME[0] <= ratio <= VOLUME[1]
    observed = f"{profile.rows:,} rows, {ratio:.2f} times the {baseline.rows:,} of the last good version"
    return RuleResult(
        "volume_in_band",
        None,
        "error",
        failed=0 if held else abs(profile.rows - baseline.rows),
        share=ratio,
        description=_VOLUME_WORDS,
        observed=observed if held else f"{observed}; {REMEDY} (table: {table}, rule: volume_in_band)",
    )


def _null_share(name: str, profile: Profile, baseline: Profile) -> RuleResult:
    """Judge one column; the band widens for few rows, where a share is not known better than its standard error."""
    now, before = profile.null_shares[name], baseline.null_shares[name]
    noise = 0.0
    if profile.rows and baseline.rows:
        noise = NOISE * sqrt(before * (1 - before) * (1 / profile.rows + 1 / baseline.rows))
    held = not profile.rows or abs(now - before) <= NULL_SHARE + noise
    observed = f"NULL in {now:.1%} of the rows, {before:.1%} in the last good version"
    return RuleResult(
        "null_share_in_band",
        name,
        "error",
        failed=0 if held else max(1, round(abs(now - before) * profile.rows)),
        share=now,
        description=_NULL_WORDS,
        observed=observed if held else f"{observed}; {REMEDY}",
    )


def judge_orphans(share: float, limit: float, before: float | None) -> tuple[Literal["pass", "warn", "fail"], str]:
    """Judge a share of orphans: none matching fails, a jump fails, more than declared warns (people load subsets).

    Returns
    -------
    tuple
        The verdict, and words to append to the figure.
    """
    if share >= 1.0:
        return "fail", "; nothing matches: are both tables of the same portfolio, and the ids not shifted or truncated?"
    if before is not None and share - before > ORPHAN_RISE:
        return "fail", f", {before:.2%} in the last good version; was one of the tables replaced without the other?"
    if share > limit:
        return "warn", f", more than the {limit:.0%} of a whole portfolio; expected of a subset"
    return "pass", ""
