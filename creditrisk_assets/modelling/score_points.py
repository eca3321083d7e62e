"""Score points: a PD in the unit loan officers read.

What belongs here: the scale of points, as a section of the policy. What does not: grades (`master_scale`). The scoring
service may import this module: it depends on pydantic alone.
"""

import math
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class ScorePoints(BaseModel):
    """Points rise by `points_to_double` where the odds of repayment double: points = offset + factor · ln(odds).

    Examples
    --------
    >>> scale = ScorePoints(reference_points=600, reference_odds=50, points_to_double=20)
    >>> scale.points(1 / 51), scale.points(1 / 101)
    (600, 620)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference_points: Annotated[float, Field(ge=0, le=10_000)]
    reference_odds: Annotated[float, Field(gt=0, le=1e6)]  # repaid to defaulted, where the points are the reference
    points_to_double: Annotated[float, Field(gt=0, le=1000)]

    @property
    def factor(self) -> float:
        """Points per unit of ln(odds)."""
        return self.points_to_double / math.log(2)

    @property
    def offset(self) -> float:
        """Points at even odds."""
        return self.reference_points - self.factor * math.log(self.reference_odds)

    def points(self, pd: float) -> int:
        """Compute the points of a PD, rounded to whole ones; a higher PD never has more.

        Raises
        ------
        ValueError
            The PD is NaN or not strictly between 0 and 1: calibrated PDs always are.
        """
        if not 0 < pd < 1:
            raise ValueError("points need a PD strictly between 0 and 1; the score is broken or was not calibrated")
        return round(self.offset + self.factor * (math.log1p(-pd) - math.log(pd)))
