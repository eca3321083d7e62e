"""A contest: the same applicants for everybody, nothing computed twice, differences that are what they say."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from creditrisk_assets.modelling.comparison import BRIER, compare_auc
from creditrisk_assets.modelling.configuration import ModelConfig
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.research import contest
from creditrisk_assets.modelling.research.budgets import research_folds
from creditrisk_assets.modelling.research.challengers.protocol import Challenger
from creditrisk_assets.modelling.research.contest import Standing, hold_contest, limited
from creditrisk_assets.modelling.research.results import Results
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.modelling.training import TrainingError
from creditrisk_assets_tests.unit.modelling.conftest import INPUTS, draw_part

SCORE = "application__score"


@dataclass
class Rule:
    """A model that knows a part of the truth, and remembers whom it met."""

    knowledge: float
    offset: float = 0.0
    met: list[set[int]] = field(default_factory=list)

    def fit(self, part: Part, _inputs: Sequence[ModelInput], _config: ModelConfig, _seed: int) -> "Fitted":
        self.met.append(set(part.ids.tolist()))
        return Fitted(self.knowledge, self.offset)


@dataclass(frozen=True)
class Fitted:
    knowledge: float
    offset: float
    inputs: tuple[str, ...] = (SCORE,)

    @property
    def account(self) -> dict[str, Any]:
        return {"knowledge": self.knowledge}

    def pds(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        income = np.log(frame["application__income_amt"].to_numpy().astype(np.float64)) - 10
        score = np.nan_to_num(frame[SCORE].to_numpy().astype(np.float64))
        margin = self.knowledge * score + (1 - self.knowledge) * income - 1.3 + self.offset
        return 1 / (1 + np.exp(-margin))


def challenger(name: str, rule: Rule, applicants: int | None = None) -> Challenger:
    return Challenger(name, f"knows {rule.knowledge}", rule.fit, {"knowledge": rule.knowledge}, (contest,), applicants)


@pytest.fixture(scope="module")
def drawn() -> Part:
    return draw_part(1500, seed=7)


@pytest.fixture
def hold(drawn: Part, config: ModelConfig, tmp_path: Path) -> Callable[..., tuple[Standing, ...]]:
    def held(*rules: Challenger, part: Part = drawn, say: Callable[[str], None] = lambda _: None) -> Any:
        results = Results(tmp_path / "results", {"table": "1"})
        return hold_contest(part, INPUTS, config, rules[0], rules[1:], results, seed=1, say=say)

    return held


def test_differences_are_those_of_pds_out_of_fold(hold: Callable[..., Any], drawn: Part) -> None:
    default, better, worse = hold(
        challenger("default", Rule(0.7)), challenger("better", Rule(1.0)), challenger("worse", Rule(0.0))
    )
    expected = compare_auc(drawn.labels, Fitted(1.0, 0.0).pds(drawn.frame), Fitted(0.7, 0.0).pds(drawn.frame))
    assert better.beside == expected
    assert better.row()["auc_difference_low"] == expected.difference.low > 0
    assert (better.beside.verdict, worse.beside.verdict) == ("better", "worse")
    assert (default.beside.difference.value, default.beside.p_value) == (0, 1)
    assert better.brier == BRIER.measure(drawn.labels, Fitted(1.0, 0.0).pds(drawn.frame))
    assert contest.clearly_better((better, worse)) == ("better",)
    assert contest.clearly_better((worse,)) == ()


def test_nobody_is_scored_by_a_fit_that_met_them(hold: Callable[..., Any], drawn: Part, config: ModelConfig) -> None:
    rule = Rule(1.0)
    hold(challenger("default", rule))
    folds = research_folds(drawn, config)
    assert len(rule.met) == len(folds)
    for met, fold in zip(rule.met, folds, strict=True):
        assert met == set(drawn.ids[fold.fitted].tolist())
        assert not met & set(drawn.ids[fold.held_out].tolist())


def test_a_challenger_of_fewer_applicants_meets_a_default_model_fitted_on_the_same(
    hold: Callable[..., Any], drawn: Part
) -> None:
    default, small = Rule(0.7), Rule(1.0)
    _, standing = hold(challenger("default", default), challenger("small", small, 600))
    assert standing.scored.fitted <= 600
    assert default.met[5:] == small.met
    assert all(len(met) == pytest.approx(600, abs=10) for met in small.met)
    share = [drawn.labels[sorted(met)].mean() for met in small.met]
    assert share == pytest.approx([drawn.labels.mean()] * 5, abs=0.02)


def test_what_is_finished_is_not_fitted_again_after_a_kill(hold: Callable[..., Any]) -> None:
    first, second, said = Rule(0.7), Rule(1.0), list[str]()

    def killed(words: str) -> None:
        if words.startswith("other: fold 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hold(challenger("default", first), challenger("other", second), say=killed)
    assert (len(first.met), len(second.met)) == (5, 2)
    whole = hold(challenger("default", first), challenger("other", second), say=said.append)
    assert (len(first.met), len(second.met)) == (5, 5)
    assert "other: fold 2 of 5 found from before" in said
    assert hold(challenger("default", Rule(0.7)), challenger("other", Rule(1.0)))[1].row() == whole[1].row()


def test_changed_settings_are_fitted_anew_and_the_others_are_not(hold: Callable[..., Any]) -> None:
    default, other, changed = Rule(0.7), Rule(1.0), Rule(0.9)
    hold(challenger("default", default), challenger("other", other))
    hold(challenger("default", default), challenger("other", changed))
    assert (len(default.met), len(other.met), len(changed.met)) == (5, 5, 5)


def test_pds_that_are_too_high_are_seen_as_they_are_and_after_a_calibrator(
    hold: Callable[..., Any], drawn: Part
) -> None:
    true, shifted = hold(challenger("default", Rule(1.0)), challenger("shifted", Rule(1.0, offset=2.0)))
    assert shifted.auc == true.auc
    assert shifted.mean_pd > 0.5 > drawn.labels.mean()
    assert shifted.row()["above_half"] > 0.4
    assert shifted.brier > true.brier + 0.05
    assert shifted.calibrated_brier == pytest.approx(true.calibrated_brier, abs=1e-4)


def test_the_price_of_interpretability_names_the_interpretable(hold: Callable[..., Any]) -> None:
    standings = hold(challenger("default", Rule(1.0)), challenger("card", Rule(0.5)), challenger("box", Rule(0.4)))
    (price,) = contest.price_of_interpretability(standings, ["card"])
    assert price["challenger"] == "card"
    assert price["low"] < price["value"] < price["high"] < 0
    assert price["value"] == standings[1].beside.difference.value


def test_a_model_that_cannot_be_fitted_is_named(hold: Callable[..., Any]) -> None:
    def refuse(*_: Any) -> Any:
        raise TrainingError("no input tells anything")

    broken = Challenger("card", "", refuse, {}, (contest,))
    with pytest.raises(TrainingError, match="card cannot be fitted: no input tells"):
        hold(challenger("default", Rule(1.0)), broken)


def test_too_few_defaults_for_the_folds_say_how_many_it_takes(hold: Callable[..., Any], drawn: Part) -> None:
    target = np.zeros(len(drawn), dtype=np.int64)
    target[:5] = 1
    with pytest.raises(TrainingError, match=r"cannot be cross-validated: 5 defaults .* it takes 32"):
        hold(challenger("default", Rule(1.0)), part=replace(drawn, target=target))


def test_pds_that_tell_nobody_apart_are_refused_in_words(hold: Callable[..., Any], drawn: Part) -> None:
    flat = replace(drawn, frame=drawn.frame.assign(**{SCORE: np.float32(0)}))
    with pytest.raises(TrainingError, match="cannot be calibrated: all margins are equal"):
        hold(challenger("default", Rule(1.0)), part=flat)


def test_applicants_are_drawn_alike_whatever_the_order(drawn: Part) -> None:
    rows = np.arange(len(drawn))
    some = drawn.ids[limited(drawn, rows, 900)]
    turned = drawn.take(rows[::-1].copy())
    assert sorted(turned.ids[limited(turned, rows, 900)].tolist()) == sorted(some.tolist())
    assert limited(drawn, rows, None) is rows
    assert limited(drawn, rows, 1500) is rows
