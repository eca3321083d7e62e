"""Who the research job looks at, and what it says of a wrong budget."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from creditrisk_assets.modelling.configuration import ConfigurationError, load_configuration
from creditrisk_assets.modelling.folds import make_folds
from creditrisk_assets.modelling.research.budgets import load_research, research_folds, research_part
from creditrisk_assets.modelling.tables import Part


def part(rows: int) -> Part:
    target = (np.arange(rows) % 10 == 0).astype(np.int64)
    return Part(np.arange(rows) + 100_000, target, pd.DataFrame({"x": np.arange(rows, dtype=np.float32)}))


def test_a_part_within_the_budget_is_taken_whole() -> None:
    config = load_research().model_copy(update={"applicants": 2000})
    whole = part(2000)
    assert research_part(whole, config) is whole


def test_a_larger_part_is_drawn_from_with_its_default_rate_whatever_the_order() -> None:
    config = load_research().model_copy(update={"applicants": 2000})
    whole = part(10_000)
    drawn = research_part(whole, config)
    assert len(drawn) == pytest.approx(2000, abs=20)
    assert drawn.labels.mean() == pytest.approx(0.1, abs=0.005)
    again = research_part(whole.take(np.arange(10_000)[::-1]), config)
    assert sorted(again.ids.tolist()) == sorted(drawn.ids.tolist())


def test_another_seed_draws_others() -> None:
    config = load_research().model_copy(update={"applicants": 2000})
    one = research_part(part(10_000), config)
    other = research_part(part(10_000), config.model_copy(update={"seed": 1}))
    assert set(one.ids.tolist()) != set(other.ids.tolist())


@pytest.mark.parametrize(("text", "word"), [("version: 1", "applicants"), ("a: [", "cannot be read")])
def test_a_wrong_budget_is_named(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "research.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=word) as raised:
        load_research(path)
    assert str(path) in str(raised.value)


def test_everything_is_compared_on_the_first_repeat_of_the_models_own_folds() -> None:
    config = load_configuration()
    repeated = config.model_copy(update={"validation": config.validation.model_copy(update={"repeats": 3})})
    whole = part(2000)
    own = [fold for fold in make_folds(whole.ids, whole.labels, repeated.validation) if fold.repeat == 0]
    found = research_folds(whole, repeated)
    assert [fold.held_out.tolist() for fold in found] == [fold.held_out.tolist() for fold in own]


@pytest.mark.parametrize(
    ("budget", "field", "value"), [("scorecard", "bins", 1), ("glass_box", "inputs", 41), ("ancestor", "trees", 0)]
)
def test_a_budget_out_of_bounds_is_named(tmp_path: Path, budget: str, field: str, value: int) -> None:
    content = load_research().model_dump(mode="json")
    content["challengers"][budget][field] = value
    path = tmp_path / "research.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigurationError, match=rf"challengers\.{budget}\.{field}"):
        load_research(path)
