"""Reference applicants: with whom a declined or referred applicant is compared.

What belongs here: choosing them among the training applicants. What does not: what is computed against them
(`compile`), which PDs are approved (`policy.yaml`).
"""

import hashlib
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from creditrisk_assets.modelling.explanation.explainer import ExplanationError
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.modelling.training import TrainedModel

APPLICANTS = 256
FEWEST = 200
DRAWN = 20_000  # scored to find them: seconds at any size of the training part


@dataclass(frozen=True)
class ReferenceSet:
    """The reference applicants, without ids, and what is told of them."""

    rows: NDArray[np.float32] = field(repr=False)  # (applicants, inputs) of the model's matrix, the highest PD first
    applicants: int
    drawn: int  # training applicants they were chosen among
    approve_below: float  # the cut-off
    lowest_pd: float
    highest_pd: float

    def facts(self) -> dict[str, Any]:
        """Tell who they are, as JSON values; the rows by their hash alone."""
        told = {name: value for name, value in asdict(self).items() if name != "rows"}
        return {**told, "rows_sha256": hashlib.sha256(self.rows.tobytes()).hexdigest()}


def choose_reference(model: TrainedModel, part: Part, approve_below: float) -> ReferenceSet:
    """Choose the training applicants the model approves with the highest PDs: those just approved.

    Parameters
    ----------
    model
        The model to be explained, with its calibrator.
    part
        The training part.
    approve_below
        The policy's cut-off.

    Returns
    -------
    ReferenceSet
        The 256 of the highest PD below the cut-off, of at most 20,000 training applicants drawn by a hash of their ids.

    Raises
    ------
    ExplanationError
        Fewer than 200 are approved.
    """
    drawn = part.take(draw(part.ids))
    pds = model.predict(drawn.frame)
    approved = np.flatnonzero(pds < approve_below)
    if len(approved) < FEWEST:
        raise ExplanationError(
            f"{len(approved)} of {len(drawn)} training applicants have a PD below the cut-off {approve_below}; the reasons of declines"
            f" are found by comparison with {FEWEST} of them at least, so give a larger source or a higher cut-off"
        )
    chosen = approved[np.argsort(-pds[approved], kind="stable")[:APPLICANTS]]
    return ReferenceSet(
        rows=np.ascontiguousarray(model.matrix(drawn.take(chosen).frame), dtype=np.float32),
        applicants=len(chosen),
        drawn=len(drawn),
        approve_below=approve_below,
        lowest_pd=float(pds[chosen[-1]]),
        highest_pd=float(pds[chosen[0]]),
    )


def draw(ids: NDArray[np.int64], most: int = DRAWN) -> NDArray[np.int64]:
    """Draw applicants by a hash of their ids: who is drawn does not hang on how the table is ordered.

    Returns
    -------
    ndarray
        Rows, in the order of the hash.
    """
    marks = [hashlib.blake2b(str(number).encode(), digest_size=8).digest() for number in ids.tolist()]
    return np.array(sorted(range(len(marks)), key=marks.__getitem__)[:most], dtype=np.int64)
