"""What cut-offs are worth: money made and lost by approving, referring and declining.

What belongs here: the economic model as a section of the policy, the simulator over cut-offs, the best ones under the
reviewers' capacity. What does not: the cut-offs in force (`policy`, which an officer signs), pictures (`policy_plots`).

An applicant asks for an amount A and defaults with probability p. In money per applicant:

    declined    0
    approved    (1 − p) · margin · A − p · LGD · EAD · A
    referred    the same, but of those who would repay only the share the reviewer keeps is approved, and of those who
                would default only what the reviewer does not find; less the cost of a review

With outcomes in place of PDs the same sums say what the cut-offs would have made. They rest on the assumed reviewer, and
on applicants who were granted loans: what declined ones would have done is not in the data.
"""

from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

CUT_OFFS = 200  # tried for each of the two; 20,000 pairs
DIGITS = 4  # of proposed cut-offs: people read and sign them

Outcomes = NDArray[np.int64]
Numbers = NDArray[np.float64]
Share = Annotated[float, Field(ge=0, le=1)]
Money = Annotated[float, Field(ge=0, lt=1e12)]


class Economics(BaseModel):
    """Assumptions; money in the currency of the amounts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    loan_amount: Annotated[float, Field(gt=0, lt=1e12)]  # where applicants' own amounts are not given
    margin_share: Annotated[
        float, Field(gt=0, le=1)
    ]  # of the amount, over the life of a loan that is repaid, after costs
    loss_given_default: Annotated[float, Field(gt=0, le=1)]  # of what is owed at default
    exposure_at_default_share: Annotated[float, Field(gt=0, le=1.5)]  # of the amount
    review_cost: Money  # of one referred application
    review_capacity_share: Share  # of all applications
    reviewer_finds_defaults_share: Share  # of the referred who would default: declined
    reviewer_keeps_good_share: Share  # of the referred who would repay: approved

    @property
    def loss_share(self) -> float:
        """Lost by a default, as a share of the amount."""
        return self.loss_given_default * self.exposure_at_default_share

    @property
    def break_even_pd(self) -> float:
        """The PD at which an approved loan makes nothing."""
        return self.margin_share / (self.margin_share + self.loss_share)

    def approved(self, risk: Numbers, amounts: Numbers | float) -> Numbers:
        """Compute the money an approval makes, at a PD or an outcome."""
        return np.asarray(((1 - risk) * self.margin_share - risk * self.loss_share) * amounts)

    def referred(self, risk: Numbers, amounts: Numbers | float) -> Numbers:
        """Compute the money a referral makes, at a PD or an outcome."""
        kept, missed = self.reviewer_keeps_good_share, 1 - self.reviewer_finds_defaults_share
        made = (1 - risk) * kept * self.margin_share - risk * missed * self.loss_share
        return np.asarray(made * amounts - self.review_cost)


@dataclass(frozen=True)
class CutOffs:
    """Two cut-offs and what they do. Approve below the one, decline from the other, refer between them."""

    approve_below: float
    decline_from: float
    approval_rate: float  # in the end: approved at once or by the reviewer
    referral_rate: float
    bad_rate: float | None  # among those approved in the end; None: nobody
    profit_per_applicant: float  # over all who applied

    def to_dict(self) -> dict[str, Any]:
        """Render as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Simulation:
    """Many pairs of cut-offs side by side, (k,) each; `bad_rate` is NaN where nobody is approved."""

    approve_below: Numbers
    decline_from: Numbers
    approval_rate: Numbers
    referral_rate: Numbers
    bad_rate: Numbers
    profit_per_applicant: Numbers

    def __len__(self) -> int:
        return len(self.approve_below)

    def row(self, place: int) -> CutOffs:
        """Return one pair."""
        values = {name: float(column[place]) for name, column in vars(self).items()}
        bad_rate = values.pop("bad_rate")
        return CutOffs(bad_rate=None if np.isnan(bad_rate) else bad_rate, **values)

    def best(self, capacity_share: float) -> CutOffs:
        """Return the pair that makes most with no more referrals than the capacity.

        Of equals: the fewest referrals, then the lowest cut-offs.

        Raises
        ------
        ValueError
            No pair keeps within the capacity.
        """
        feasible = np.flatnonzero(self.referral_rate <= capacity_share)
        if not len(feasible):
            raise ValueError(
                f"none of the {len(self)} pairs of cut-offs refers {capacity_share:.1%} or fewer; simulate pairs of equal"
                " cut-offs, too"
            )
        keys = (self.decline_from, self.approve_below, self.referral_rate, -self.profit_per_applicant)
        return self.row(int(feasible[np.lexsort([key[feasible] for key in keys])[0]]))


def simulate(
    pds: Numbers,
    economics: Economics,
    approve_below: Numbers,
    decline_from: Numbers,
    *,
    outcomes: Outcomes | None = None,
    amounts: Numbers | None = None,
) -> Simulation:
    """Compute what pairs of cut-offs do, all of them by one sort of the applicants.

    Parameters
    ----------
    pds : (n,)
        Calibrated PDs in [0, 1]: they decide who is approved.
    economics
        Assumptions.
    approve_below, decline_from : (k,)
        Pairs of cut-offs, the first not above the second.
    outcomes : (n,), optional
        What happened: money and bad rates are those that would have been, not those expected from the PDs.
    amounts : (n,), optional
        Amounts asked for; None: `loan_amount` for everybody.

    Raises
    ------
    ValueError
        Lengths differ, nobody is there, a PD, outcome or amount is none, or a pair is not ordered.
    """
    _check(pds, outcomes, amounts)
    if approve_below.shape != decline_from.shape or not (approve_below <= decline_from).all():
        raise ValueError("approve_below must not lie above decline_from, pair by pair")
    order = np.argsort(pds, kind="stable")
    risk = (pds if outcomes is None else outcomes.astype(np.float64))[order]
    asked = economics.loan_amount if amounts is None else amounts[order]
    kept, missed = economics.reviewer_keeps_good_share, 1 - economics.reviewer_finds_defaults_share
    first, last = (np.searchsorted(pds[order], limits, side="left") for limits in (approve_below, decline_from))
    n = len(pds)

    def total(approved: Numbers, referred: Numbers) -> Numbers:
        below, between = _running(approved), _running(referred)
        return np.asarray(below[first] + between[last] - between[first])

    approvals = total(np.ones(n), (1 - risk) * kept + risk * missed)
    bads = total(risk, risk * missed)
    profit = total(economics.approved(risk, asked), economics.referred(risk, asked))
    bad_rate = np.divide(bads, approvals, out=np.full(len(bads), np.nan), where=approvals > 0)
    return Simulation(approve_below, decline_from, approvals / n, (last - first) / n, bad_rate, profit / n)


def best_cut_offs(
    pds: Numbers, economics: Economics, *, outcomes: Outcomes | None = None, amounts: Numbers | None = None
) -> CutOffs:
    """Find the pair of cut-offs that makes most within the reviewers' capacity; parameters as in `simulate`.

    Tried are all pairs of `candidates`. The best pair on outcomes is best by luck, too: choose on out-of-fold PDs, and
    read what it makes from `simulate` on applicants it was not chosen on.
    """
    _check(pds, outcomes, amounts)
    approve_below, decline_from = pairs(candidates(pds))
    found = simulate(pds, economics, approve_below, decline_from, outcomes=outcomes, amounts=amounts)
    return found.best(economics.review_capacity_share)


def candidates(pds: Numbers, count: int = CUT_OFFS) -> Numbers:
    """Return cut-offs worth trying: quantiles of the PDs as people would write them, 0 (nobody) and 1 (everybody below it)."""
    inner = np.round(np.quantile(pds, np.linspace(0, 1, count)), DIGITS)
    return np.unique(np.concatenate([[0.0, 1.0], inner]))


def pairs(cut_offs: Numbers) -> tuple[Numbers, Numbers]:
    """Pair ascending cut-offs with each other, the first of a pair not above the second."""
    first, last = np.triu_indices(len(cut_offs))
    return cut_offs[first], cut_offs[last]


def _running(values: Numbers) -> Numbers:
    """Return running sums, the sum of none first."""
    return np.concatenate([[0.0], np.cumsum(values)])


def _check(pds: Numbers, outcomes: Outcomes | None, amounts: Numbers | None) -> None:
    if pds.ndim != 1 or not len(pds):
        raise ValueError("there are no applicants to simulate")
    for words, values in (("outcomes", outcomes), ("amounts", amounts)):
        if values is not None and values.shape != pds.shape:
            raise ValueError(f"{len(pds)} PDs and {len(values)} {words} do not match")
    if not ((pds >= 0) & (pds <= 1)).all():
        raise ValueError("a PD is NaN or outside [0, 1]; the model is broken")
    if outcomes is not None and not np.isin(outcomes, (0, 1)).all():
        raise ValueError("an outcome is neither 0 nor 1")
    if amounts is not None and not (np.isfinite(amounts) & (amounts > 0)).all():
        raise ValueError("an amount is NaN, infinite or not above 0")
