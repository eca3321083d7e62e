"""What raised the PD of referred and declined applicants, feature by feature.

What belongs here: picking the largest contributions, and refusing those that do not add up. What does not: computing them
(`modelling.explanation`), reasons in words, who is told of them (`service`).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from creditrisk_assets.modelling.bundle import Bundle
from creditrisk_assets.modelling.explanation.explainer import ExplanationError

MOST = 10


class Adverse(NamedTuple):
    """What raised one applicant's margin above that of applicants just approved."""

    base: float  # mean margin of the reference applicants, in log-odds before calibration
    contributions: tuple[tuple[str, float], ...]  # feature and what it adds to the margin; all above 0, largest first
    every: NDArray[np.float64]  # (inputs,) what each adds


def adverse_contributions(
    bundle: Bundle, rows: Sequence[NDArray[np.float32]], margins: Sequence[float], most: int = MOST
) -> list[Adverse | None]:
    """Find the features that raised the PDs of some applicants most, compared with applicants just approved.

    Parameters
    ----------
    bundle
        The model that scored them.
    rows
        Their inputs as the model saw them: those who were referred or declined.
    margins
        Their margins.
    most
        How many features to name at most.

    Returns
    -------
    list
        One entry per row. None: nothing may be said, because the bundle was made without an explainer (`bundle.explainer` is
        None), or because contributions do not add up to the margin, which is a broken bundle and to be alarmed about.
    """
    explainer = bundle.explainer
    if explainer is None:
        return [None] * len(rows)
    found: list[Adverse | None] = []
    for row, margin in zip(rows, margins, strict=True):
        contributions = explainer.contributions(row)
        try:
            explainer.check(contributions, margin)
        except ExplanationError:
            found.append(None)
            continue
        raising = np.flatnonzero(contributions > 0)
        largest = raising[np.argsort(-contributions[raising], kind="stable")[:most]]
        named = ((bundle.feature_names[place], float(contributions[place])) for place in largest.tolist())
        found.append(Adverse(explainer.base, tuple(named), contributions))
    return found
