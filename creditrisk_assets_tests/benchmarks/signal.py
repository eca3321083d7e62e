"""How much of the sample portfolio's planted risk the model finds, beside what its columns can tell.

    python -m creditrisk_assets_tests.benchmarks.signal --home HOME --scale 1

The generator draws TARGET from log-odds of its own. Three scores of the same applicants, all out of fold: those log-odds, which
no lender sees; the best guess of them from the model's inputs, by trees fitted to the log-odds themselves instead of to outcomes;
and the PDs of the model in use. The second lies below the first by what no column tells, the third below the second by what
outcomes of so many applicants cannot teach. HOME is a home directory whose `model/out_of_fold` was made from the sample.
"""

from itertools import islice
from pathlib import Path
from typing import Annotated

import lightgbm
import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from creditrisk_assets.defs.training import OUT_OF_FOLD, choose
from creditrisk_assets.lake import Lake
from creditrisk_assets.modelling.auc import auc_difference, auc_interval
from creditrisk_assets.modelling.booster import wait_passively
from creditrisk_assets.modelling.configuration import load_configuration
from creditrisk_assets.modelling.folds import make_folds
from creditrisk_assets.modelling.research.challengers.protocol import encode
from creditrisk_assets.modelling.tables import Part, read_part
from creditrisk_assets.settings import Settings
from creditrisk_assets.simulation.chunks import plan_chunks
from creditrisk_assets.simulation.scenarios import scenario_named

console = Console(highlight=False)


def main(
    home: Annotated[Path, typer.Option(help="A home directory with model/out_of_fold of the sample portfolio.")],
    scale: Annotated[float, typer.Option(help="Scale the sample was made at.")],
    seed: Annotated[int, typer.Option(help="Seed the sample was made with.")] = 42,
    trees: Annotated[int, typer.Option(help="Of each fit to the log-odds.")] = 400,
    folds: Annotated[int, typer.Option(help="Folds of the model's cross-validation that are looked at.")] = 5,
) -> None:
    """Print the AUC of the latent risk, of what the inputs tell of it, and of the model in use."""
    wait_passively()
    lake = Lake(home.resolve() / "lake")
    part = read_part(lake.require("training/split_train").data, choose(Settings()).allowed)
    told = pd.read_parquet(lake.require(OUT_OF_FOLD).data).query("repeat == 0").set_index("sk_id_curr").loc[part.ids]
    latent = latent_risk(scale, seed).loc[part.ids]
    if not np.array_equal(latent["target"].to_numpy(), part.labels):
        raise SystemExit(f"the applicants of {home} are not those of the sample of scale {scale:g} and seed {seed}")
    risk = latent["risk"].to_numpy()
    guess = guess_out_of_fold(part, risk, trees, folds)
    known = ~np.isnan(guess)
    scores = {"latent risk": risk, "its best guess from the inputs": guess, "the model in use": told["pd"].to_numpy()}
    _print(part.labels[known], {name: score[known] for name, score in scores.items()})
    left = np.var((risk - guess)[known]) / np.var(risk[known])
    console.print(f"{known.sum():,} applicants; the inputs explain {1 - left:.1%} of the variance of the log-odds")


def latent_risk(scale: float, seed: int) -> pd.DataFrame:
    """Draw the applicants again: their log-odds of default and their outcome, by id."""
    drawn = [chunk.applicants() for chunk in plan_chunks(scale, seed, scenario_named("baseline"))]
    columns = {name: np.concatenate([getattr(each, name) for each in drawn]) for name in ("ids", "risk", "target")}
    return pd.DataFrame(columns).set_index("ids")


def guess_out_of_fold(part: Part, risk: NDArray[np.float64], trees: int, folds: int) -> NDArray[np.float64]:
    """Fit the log-odds on the folds of the model in use; return what each applicant's inputs say of it, NaN in other folds."""
    config, out = load_configuration(), np.full(len(part), np.nan)
    sizes = config.lightgbm
    first = (fold for fold in make_folds(part.ids, part.labels, config.validation) if fold.repeat == 0)
    for fold in islice(first, folds):
        fitted = part.take(fold.fitted)
        encoded = encode(fitted, choose(Settings()).allowed)
        model = lightgbm.LGBMRegressor(
            n_estimators=trees, learning_rate=0.1, num_leaves=2 * sizes.num_leaves, force_col_wise=True,
            colsample_bytree=sizes.feature_fraction, max_bin=sizes.max_bin, min_child_samples=50,
            subsample_for_bin=sizes.subsample_for_bin, n_jobs=Settings().threads, random_state=config.seed, verbose=-1,
        )  # fmt: skip
        model.fit(encoded.matrix, risk[fold.fitted])
        out[fold.held_out] = model.predict(encoded.of(part.take(fold.held_out).frame))
        found = auc_interval(part.labels[fold.held_out], out[fold.held_out]).value
        console.print(f"fold {fold.number}: {found:.4f}")
    return out


def _print(target: NDArray[np.int64], scores: dict[str, NDArray[np.float64]]) -> None:
    table = Table("score", "AUC", "95 %", "above the model in use", box=None)
    in_use = scores["the model in use"]
    for name, score in scores.items():
        auc, apart = auc_interval(target, score), auc_difference(target, score, in_use)
        words = "" if score is in_use else f"{apart.value:+.4f} ({apart.low:+.4f} to {apart.high:+.4f})"
        table.add_row(name, f"{auc.value:.4f}", f"{auc.low:.4f} to {auc.high:.4f}", words)
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
