"""The standing challengers with their settings: which models are compared with the default one, every time.

What belongs here: the list. What does not: any of the models (a module each), how they are compared (`contest`).
"""

from functools import partial

from creditrisk_assets.modelling import booster, folds, pipeline, score_points, training
from creditrisk_assets.modelling.configuration import ModelConfig
from creditrisk_assets.modelling.pipeline import ENCODER
from creditrisk_assets.modelling.research.budgets import ChallengerBudgets
from creditrisk_assets.modelling.research.challengers import (
    ancestor,
    default,
    glass_box,
    histogram,
    information_value,
    protocol,
    scorecard,
)
from creditrisk_assets.modelling.research.challengers.protocol import Challenger
from creditrisk_assets.modelling.score_points import ScorePoints

DEFAULT, SCORECARD, GLASS_BOX = "default", "scorecard", "glass_box"
INTERPRETABLE = (SCORECARD, GLASS_BOX)  # what they lose to the default model is the price of interpretability


def default_model(config: ModelConfig, *, threads: int) -> Challenger:
    """Return the model in use, which every challenger is compared with."""
    return Challenger(
        DEFAULT,
        "LightGBM as model.yaml has it",
        partial(default.fit, threads=threads),
        {"configuration": config.digest},
        (default, training, pipeline, ENCODER, folds, booster),
    )


def standing_challengers(budgets: ChallengerBudgets, config: ModelConfig, scale: ScorePoints) -> tuple[Challenger, ...]:
    """List the challengers, in the order of tables and plots."""
    shared = (protocol, pipeline, ENCODER, folds)
    chosen = (*shared, information_value)
    old = budgets.ancestor.model_dump(mode="json")
    return (
        Challenger(
            "histogram",
            "scikit-learn's HistGradientBoosting with the default model's sizes",
            partial(histogram.fit, budget=budgets.histogram),
            {"budget": budgets.histogram.model_dump(mode="json"), "configuration": config.digest},
            (histogram, *shared),
        ),
        Challenger(
            SCORECARD,
            f"a logistic scorecard of at most {budgets.scorecard.inputs} inputs in bins",
            partial(scorecard.fit, budget=budgets.scorecard, scale=scale),
            {"budget": budgets.scorecard.model_dump(mode="json"), "scale": scale.model_dump(mode="json")},
            (scorecard, score_points, *chosen),
        ),
        Challenger(
            GLASS_BOX,
            f"an explainable boosting machine: a curve for each of at most {budgets.glass_box.inputs} inputs",
            partial(glass_box.fit, budget=budgets.glass_box),
            {"budget": budgets.glass_box.model_dump(mode="json")},
            (glass_box, *chosen),
            budgets.glass_box.applicants,
        ),
        Challenger(
            "ancestor",
            "the ancestor's recipe: medians, SMOTE, random undersampling, no recalibration",
            partial(ancestor.fit, budget=budgets.ancestor, resample=True),
            {"budget": old, "resample": True},
            (ancestor, *shared),
            budgets.ancestor.applicants,
        ),
        Challenger(
            "ancestor_as_drawn",
            "the ancestor's recipe without resampling",
            partial(ancestor.fit, budget=budgets.ancestor, resample=False),
            {"budget": old, "resample": False},
            (ancestor, *shared),
            budgets.ancestor.applicants,
        ),
    )
