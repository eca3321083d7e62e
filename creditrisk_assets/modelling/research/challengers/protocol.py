"""What every challenger is: a name, a fit, and what the fit returns.

What belongs here: the protocol, and the encoding challengers share. What does not: any one of them (its module), who is fitted and compared
(`contest`).

A fit learns everything from the rows it is given: categories, imputation, bins, selection. It may not look at other rows, and two fits of
one part are one model.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from creditrisk_assets.modelling.bundle import EncodingError
from creditrisk_assets.modelling.configuration import ModelConfig
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.pipeline import Matrix, new_encoder
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.modelling.training import TrainingError, checked_target, uninformative

if TYPE_CHECKING:
    from creditrisk_assets.modelling.encoder import ApplicantEncoder


class Scorer(Protocol):
    """A fitted challenger."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """What it reads of an applicant."""
        ...

    @property
    def account(self) -> Mapping[str, Any]:
        """What it learned, as JSON values a person wants to see."""
        ...

    def pds(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Compute PDs as the model gives them, (n,); the frame may hold more columns than it reads."""
        ...


Fit = Callable[[Part, Sequence[ModelInput], ModelConfig, int], Scorer]  # the part, its inputs, configuration, seed


@dataclass(frozen=True)
class Challenger:
    """One model to be compared.

    Attributes
    ----------
    name
        In tables and files: `[a-z_]`.
    what
        One sentence for people.
    fit
        Fits it on all rows of a part.
    depends_on
        Its settings, as JSON values; with `code` they decide whether a result may be used again.
    code
        The modules that make it what it is, or their files.
    applicants
        At most so many are fitted, drawn with their default rate; None: all of them.
    """

    name: str
    what: str
    fit: Fit
    depends_on: Mapping[str, Any]
    code: tuple[ModuleType | Path, ...]
    applicants: int | None = None


@dataclass(frozen=True)
class Encoded:
    """A part as a matrix: what tells nobody apart left out, categories as codes by frequency, NaN where nothing is known."""

    inputs: tuple[ModelInput, ...]
    encoder: "ApplicantEncoder" = field(repr=False)
    matrix: Matrix = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Columns of the matrix."""
        return tuple(i.name for i in self.inputs)

    def of(self, frame: pd.DataFrame) -> Matrix:
        """Encode other applicants; a category that no fitted row has counts as missing."""
        encoded: Matrix = self.encoder.transform(frame[list(self.names)])
        return encoded


def encode(part: Part, inputs: Sequence[ModelInput]) -> Encoded:
    """Encode a part for a fit.

    Raises
    ------
    TrainingError
        No rows, one class, no input that tells applicants apart, or an infinite value; the message names it.
    """
    target = checked_target(part)
    dropped = uninformative(part.frame, [i.name for i in inputs])
    used = tuple(i for i in inputs if i.name not in dropped)
    if not used:
        raise TrainingError("every input is constant or empty; nothing can be learned, so check the features")
    frame = part.of([i.name for i in used]).frame
    try:
        encoder = new_encoder().fit(frame)
        return Encoded(used, encoder, encoder.transform(frame), target)
    except EncodingError as error:
        raise TrainingError(f"the applicants cannot be encoded: {error}") from error
