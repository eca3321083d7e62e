"""Contract of the simulated cut-offs.

What belongs here: what the table IS. What does not: how it is computed (`modelling.economics`), which cut-offs are in force (the
policy).
"""

import ibis.expr.datatypes as dt
import pandera.ibis as pa

from creditrisk_assets.contracts import reported as r
from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.table import TableContract


class PolicySimulation(DataFrameModel):
    """Grain: one row per cut-off that approves below it and declines from it. Source: out-of-fold PDs of the training part."""

    cut_off: dt.Float64 = r.share("PD from which applicants are declined")
    approval_rate: dt.Float64 = r.share("Applicants approved")
    bad_rate: dt.Float64 = r.share("Defaults among them; NULL: nobody is approved", nullable=True)
    expected_profit: dt.Float64 = pa.Field(
        description="Per applicant, by the PDs and the policy's economics", metadata={"unit": "amt"}
    )
    realised_profit: dt.Float64 = pa.Field(
        description="Per applicant, by what happened and the policy's economics", metadata={"unit": "amt"}
    )

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("cut_off",)


POLICY_SIMULATION = TableContract(table="policy_simulation", model=PolicySimulation, layer="model")
