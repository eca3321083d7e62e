"""What a fit costs and what its PDs are worth: LightGBM beside XGBoost, the model in use beside the recipe it descends from.

    python -m creditrisk_assets_tests.benchmarks.model --scale 0.05

Every figure comes from a process of its own, one after the other. The two learners get one identical float32 matrix of all inputs, equal
numbers and sizes of trees, all columns for every tree, and the same threads; LightGBM's 200 rows in a leaf have no counterpart in XGBoost.
The model in use is whole: five folds, calibrator, final fit. The ancestor's exact splits take hours at full size, so it may be fitted on
fewer applicants; the model in use is then fitted on those as well.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from creditrisk_assets.defs.training import choose
from creditrisk_assets.ingestion.sources import sample_directory
from creditrisk_assets.lake import Lake
from creditrisk_assets.modelling import training
from creditrisk_assets.modelling.auc import auc_interval
from creditrisk_assets.modelling.booster import wait_passively
from creditrisk_assets.modelling.calibration_tests import calibration_figures
from creditrisk_assets.modelling.configuration import load_configuration
from creditrisk_assets.modelling.cross_validation import cross_validate
from creditrisk_assets.modelling.inputs import InputChoice
from creditrisk_assets.modelling.pipeline import classifier
from creditrisk_assets.modelling.research.budgets import load_research
from creditrisk_assets.modelling.research.challengers import ancestor
from creditrisk_assets.modelling.research.challengers.protocol import encode
from creditrisk_assets.modelling.research.contest import limited
from creditrisk_assets.modelling.tables import Part, read_part
from creditrisk_assets.settings import Settings
from creditrisk_assets.terminal import write_sample
from creditrisk_assets_tests.benchmarks.process import Cost, measured

console = Console(highlight=False)
SPLITS = ("training/split_train", "training/split_test")
Found = dict[str, Any]


def main(
    scale: Annotated[float, typer.Option(help="Scale of the sample portfolio.")] = 0.05,
    home: Annotated[
        Path | None, typer.Option(help="A home directory whose split is measured; none: the sample's is made.")
    ] = None,
    trees: Annotated[int, typer.Option(help="Of LightGBM and of XGBoost.")] = 300,
    ancestor_applicants: Annotated[int, typer.Option(help="The ancestor is fitted on at most so many.")] = 20_000,
    part: Annotated[str, typer.Option(help="What to do in this very process.", hidden=True)] = "",
    matrix: Annotated[Path | None, typer.Option(help="The matrix of the learners.", hidden=True)] = None,
) -> None:
    """Print separation, truth and cost of every model on the test part of one split."""
    wait_passively()
    if matrix is not None and home is not None:
        work = {**LEARNERS, **MODELS, "prepare": prepare}[part]
        print(json.dumps(work(home, matrix, trees, ancestor_applicants)))  # noqa: T201 - read by the process that measures
        return
    settings = Settings()
    where = home or _made(settings, scale)
    with tempfile.TemporaryDirectory(dir=settings.root) as directory:
        options = ["--home", str(where), "--matrix", directory, "--trees", str(trees)]
        options += ["--ancestor-applicants", str(ancestor_applicants)]
        _, shape = measured(__spec__.name, "--part", "prepare", *options)
        learners = {name: measured(__spec__.name, "--part", name, *options) for name in LEARNERS}
        models = {
            name: measured(__spec__.name, "--part", name, *options)
            for name in MODELS
            if name != SAME or shape["rows"] > ancestor_applicants
        }
    words = f"{shape['rows']:,} applicants × {shape['columns']} inputs, {trees} trees, all columns for each"
    _print(f"Learners: {words}; {settings.threads} threads", learners)
    _print(f"Models: scored on the same {shape['tested']:,} applicants", models)


def _made(settings: Settings, scale: float) -> Path:
    """Make the split of the sample portfolio in a home of its own; what is there already is reused."""
    source = sample_directory(settings, scale)
    write_sample(source, scale=scale, seed=42, scenario="baseline", quiet=False)
    home = settings.root / "benchmarks" / f"model-{scale:g}"
    select = " or ".join(f'+key:"{key}"' for key in SPLITS)
    command = [sys.executable, "-m", "creditrisk_assets.cli", "run", "--source", str(source), "--select", select]
    done = subprocess.run(
        command, env=os.environ | {"CREDITRISK_HOME": str(home)}, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return home


def prepare(home: Path, matrix: Path, _trees: int, _most: int) -> Found:
    """Write the matrix that both learners get, and the outcomes."""
    train, test, choice = _parts(home)
    encoded = encode(train, choice.allowed)
    np.save(matrix / "train.npy", np.ascontiguousarray(encoded.matrix))
    np.save(matrix / "test.npy", np.ascontiguousarray(encoded.of(test.frame)))
    np.save(matrix / "train_target.npy", train.labels)
    np.save(matrix / "test_target.npy", test.labels)
    return {"rows": len(train), "columns": encoded.matrix.shape[1], "tested": len(test)}


def lightgbm(_home: Path, matrix: Path, trees: int, _most: int) -> Found:
    """Fit LightGBM as configured, with all columns for every tree."""
    config = load_configuration()
    config = config.model_copy(update={"lightgbm": config.lightgbm.model_copy(update={"feature_fraction": 1.0})})
    return _learn(matrix, classifier(config, trees, Settings().threads))


def xgboost(_home: Path, matrix: Path, trees: int, _most: int) -> Found:
    """Fit XGBoost's hist trainer with LightGBM's sizes."""
    from xgboost import XGBClassifier

    sizes, config = load_configuration().lightgbm, load_configuration()
    model = XGBClassifier(
        n_estimators=trees,
        tree_method="hist",
        grow_policy="lossguide",
        max_leaves=sizes.num_leaves,
        max_depth=0,
        max_bin=sizes.max_bin,
        learning_rate=sizes.learning_rate,
        subsample=sizes.bagging_fraction,
        reg_alpha=sizes.lambda_l1,
        reg_lambda=sizes.lambda_l2,
        min_child_weight=sizes.min_child_weight,
        n_jobs=Settings().threads,
        random_state=config.seed,
    )
    return _learn(matrix, model)


def default(home: Path, _matrix: Path, _trees: int, _most: int) -> Found:
    """Cross-validate, calibrate and fit the model in use."""
    train, test, choice = _parts(home)
    return _in_use(train, test, choice)


def default_on_as_many(home: Path, _matrix: Path, _trees: int, most: int) -> Found:
    """Do the same on the applicants the ancestor is fitted on."""
    train, test, choice = _parts(home)
    return _in_use(train.take(limited(train, np.arange(len(train)), most)), test, choice)


def recipe(home: Path, most: int, *, resample: bool) -> Found:
    """Fit the ancestor's recipe."""
    train, test, choice = _parts(home)
    train = train.take(limited(train, np.arange(len(train)), most))
    budget, config = load_research().challengers.ancestor, load_configuration()

    def fit() -> ancestor.Ancestor:
        return ancestor.fit(train, choice.allowed, config, config.seed, budget=budget, resample=resample)

    model, cost = _timed(fit)
    words = {"rows": len(train), "inputs": len(model.inputs), "trees": budget.trees}
    return _figures(test.labels, model.pds(test.frame), cost) | words


SAME = "default, on as many"
LEARNERS: Mapping[str, Callable[[Path, Path, int, int], Found]] = {"LightGBM": lightgbm, "XGBoost hist": xgboost}
MODELS: Mapping[str, Callable[[Path, Path, int, int], Found]] = {
    "default": default,
    SAME: default_on_as_many,
    "ancestor": lambda home, _matrix, _trees, most: recipe(home, most, resample=True),
    "ancestor, no resampling": lambda home, _matrix, _trees, most: recipe(home, most, resample=False),
}


def _parts(home: Path) -> tuple[Part, Part, InputChoice]:
    lake, choice = Lake(home.resolve() / "lake"), choose(Settings())
    train, test = (read_part(lake.require(key).data, choice.allowed) for key in SPLITS)
    return train, test, choice


def _learn(matrix: Path, model: Any) -> Found:
    x, y = np.load(matrix / "train.npy"), np.load(matrix / "train_target.npy")
    _, cost = _timed(lambda: model.fit(x, y))
    pds = model.predict_proba(np.load(matrix / "test.npy"))[:, 1].astype(np.float64)
    words = {"rows": x.shape[0], "inputs": x.shape[1], "trees": model.n_estimators}
    return _figures(np.load(matrix / "test_target.npy"), pds, cost) | words


def _in_use(train: Part, test: Part, choice: InputChoice) -> Found:
    config, threads = load_configuration(), Settings().threads

    def fit() -> training.TrainedModel:
        found = cross_validate(train, choice.allowed, config, threads=threads)
        alone = InputChoice(choice.allowed, (), {}, {})
        return training.train(train, alone, config, found.search, found.calibration.calibrator, threads=threads).model

    model, cost = _timed(fit)
    words = {"rows": len(train), "inputs": len(model.inputs), "trees": model.search.trees}
    return _figures(test.labels, model.predict(test.frame), cost) | words


def _timed(fit: Callable[[], Any]) -> tuple[Any, Found]:
    started, processor = time.perf_counter(), time.process_time()
    found = fit()
    return found, {"seconds": time.perf_counter() - started, "processor_seconds": time.process_time() - processor}


def _figures(target: NDArray[np.int64], pds: NDArray[np.float64], cost: Found) -> Found:
    measured_pds, auc = calibration_figures(target, pds), auc_interval(target, pds)
    return {
        "auc": auc.value,
        "auc_low": auc.low,
        "auc_high": auc.high,
        "brier": measured_pds.brier,
        "constant": float(target.mean() * (1 - target.mean())),
        "error": measured_pds.expected_calibration_error,
        "mean_pd": measured_pds.mean_pd,
        **cost,
    }


def _print(title: str, found: Mapping[str, tuple[Cost, Found]]) -> None:
    columns = ("model", "rows", "inputs", "trees", "AUC", "95 %", "Brier", "ECE", "mean PD", "s", "CPU s", "peak GiB")
    table = Table(*columns, title=title, box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, (cost, one) in found.items():
        table.add_row(
            name, f"{one['rows']:,}", str(one["inputs"]), str(one["trees"]), f"{one['auc']:.4f}",
            f"{one['auc_low']:.4f}–{one['auc_high']:.4f}", f"{one['brier']:.5f}", f"{one['error']:.4f}",
            f"{one['mean_pd']:.4f}", f"{one['seconds']:.1f}", f"{one['processor_seconds']:.1f}",
            f"{cost.peak_memory_bytes / 2**30:.2f}",
        )  # fmt: skip
    console.print(table)
    constant = next(iter(found.values()))[1]["constant"]
    console.print(f"Brier score of the default rate for everybody: {constant:.5f}; seconds are of the fit alone\n")


if __name__ == "__main__":
    typer.run(main)
