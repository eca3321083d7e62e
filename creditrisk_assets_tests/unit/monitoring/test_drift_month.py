"""A month's verdict: quiet months raise nothing, and each thing that can happen is named for what it is."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import beta

from creditrisk_assets.contracts.check import check, parquet_relation
from creditrisk_assets.contracts.drift import CONTRACT
from creditrisk_assets.modelling.part_scores import inputs_of
from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.monitoring.drift.attribution import attribution
from creditrisk_assets.monitoring.drift.causes import attribution_moved
from creditrisk_assets.monitoring.drift.evidently_report import write_evidently_report
from creditrisk_assets.monitoring.drift.month import measure_month
from creditrisk_assets.monitoring.drift.plots import draw_attribution, draw_inputs_by_month, draw_months
from creditrisk_assets.monitoring.drift.report import RUNBOOK, DriftReport
from creditrisk_assets_tests.unit.monitoring.portfolio import CATEGORY, FLAG, ORIGINS, Portfolio, draw, make_portfolio

ROWS = 2000
QUIET_MONTHS = 100
ALLOWED_ALARMS = 2
LIMITS = load_policy().drift


@pytest.fixture(scope="module")
def portfolio(tmp_path_factory: pytest.TempPathFactory) -> Portfolio:
    return make_portfolio(tmp_path_factory.mktemp("drift"))


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1})


def measure(
    portfolio: Portfolio, month: pd.DataFrame, path: Path, rows: int | None = None, **options: object
) -> DriftReport:
    table = pa.Table.from_pandas(
        month, preserve_index=False
    )  # whole, so that types do not depend on the number of rows
    pq.write_table(table.slice(0, rows), path / "month.parquet")
    con = duckdb.connect(config={"threads": 1})
    arguments = {"importance": portfolio.importance, "origins": ORIGINS, **options}
    return measure_month(con, portfolio.bundle, path / "month.parquet", portfolio.policy, **arguments)  # type: ignore[arg-type]


def kinds(report: DriftReport) -> list[tuple[str, str]]:
    return [(cause.kind, cause.subject) for cause in report.causes]


def quiet_alarms(portfolio: Portfolio, path: Path, months: int, first: int) -> int:
    reports = [measure(portfolio, draw(1000, first + number), path) for number in range(months)]
    return sum(bool(report.causes) or report.status != "stable" for report in reports)


def test_quiet_months_raise_nothing(portfolio: Portfolio, tmp_path: Path) -> None:
    alarms = quiet_alarms(portfolio, tmp_path, QUIET_MONTHS, 1000)
    upper = beta.ppf(0.95, alarms + 1, QUIET_MONTHS - alarms)
    assert alarms <= ALLOWED_ALARMS, f"{alarms} alarms; the true rate is below {upper:.1%} with 95 % confidence"


@pytest.mark.drill
def test_a_thousand_quiet_months_with_samples_raise_nothing(portfolio: Portfolio, tmp_path: Path) -> None:
    for number in range(100):
        report = measure(portfolio, draw(1000, 5000 + number), tmp_path, reference=portfolio.reference)
        assert not report.causes, report.words
    assert quiet_alarms(portfolio, tmp_path, 1000, 10_000) <= 5


def test_a_quiet_month_is_stable_in_every_respect(portfolio: Portfolio, tmp_path: Path) -> None:
    report = measure(portfolio, draw(ROWS, 50), tmp_path, reference=portfolio.reference)
    assert (report.status, report.causes, report.retrain) == ("stable", (), False)
    assert report.attribution is not None
    assert report.attribution.rank_agreement > 0.9
    assert report.domain is not None
    assert report.domain.auc.low < 0.55
    assert report.segments["share_now"].sub(report.segments["share_before"]).abs().max() < 0.05


def test_a_missing_feed_is_named_and_calls_for_no_retrain(portfolio: Portfolio, tmp_path: Path) -> None:
    month = draw(ROWS, 51)
    lost = [name for name in month if str(name).startswith("bureau__")]
    month[lost] = np.nan
    month[FLAG] = False
    report = measure(portfolio, month, tmp_path)
    assert kinds(report)[0] == ("missing_feed", "bureau")
    assert not {kind for kind, _ in kinds(report)} & {"covariate", "prior", "unit_change"}
    assert report.status == "drifted"
    assert not report.retrain
    assert f"({RUNBOOK})" in report.words


def test_of_nested_feeds_the_one_that_is_missing_is_named(portfolio: Portfolio, tmp_path: Path) -> None:
    month = draw(ROWS, 52)
    month[["bureau__dpd_months_share", "bureau__history_months_max"]] = np.nan
    assert kinds(measure(portfolio, month, tmp_path)) == [("missing_feed", "bureau_balance")]


def test_a_missing_column_is_named(portfolio: Portfolio, tmp_path: Path) -> None:
    month = draw(ROWS, 53).assign(application__annuity_amt=np.nan)
    assert kinds(measure(portfolio, month, tmp_path)) == [("missing_column", "application.AMT_ANNUITY")]


@pytest.mark.parametrize(("factor", "said"), [(1000, "1000 times"), (1 / 365.25, "one 365.2th of"), (12, "12 times")])
def test_a_changed_unit_is_named_with_its_factor(
    portfolio: Portfolio, tmp_path: Path, factor: float, said: str
) -> None:
    month = draw(ROWS, 54)
    month["application__employed_days"] *= factor
    report = measure(portfolio, month, tmp_path)
    assert kinds(report) == [("unit_change", "application.DAYS_EMPLOYED")]
    assert said in report.words
    assert not report.retrain


def test_other_applicants_are_covariate_drift_through_their_feed(portfolio: Portfolio, tmp_path: Path) -> None:
    month = draw(ROWS, 55)
    month["application__ext_2_score"] -= 0.1  # two thirds of its standard deviation
    report = measure(portfolio, month, tmp_path)
    assert kinds(report) == [("covariate", "application")]
    assert report.causes[0].features == ("application__ext_2_score",)
    assert report.retrain
    assert next(iter(report.feeds)) == "application"


def test_an_input_the_model_hardly_uses_is_no_cause(portfolio: Portfolio, tmp_path: Path) -> None:
    month = draw(ROWS, 56)
    month["installments__paid_amt_sum"] *= 2.2
    report = measure(portfolio, month, tmp_path)
    assert (report.status, report.causes) == ("moving", ())
    assert "installments__paid_amt_sum" in report.words


def test_another_default_rate_is_prior_drift(portfolio: Portfolio, tmp_path: Path) -> None:
    report = measure(portfolio, draw(ROWS, 57, default_rate_factor=2.5), tmp_path)
    assert kinds(report) == [("prior", "score")]
    assert report.prior is not None
    assert report.prior.low <= 2.5 <= report.prior.high


@pytest.mark.parametrize("seed", range(80, 83))
@pytest.mark.parametrize(
    ("kind", "planted"),
    [
        ("covariate", {"habits": 0.4}),  # standard deviations of what moves three inputs a little each, and the scores
        ("covariate", {"habits": 1.0}),
        ("prior", {"default_rate_factor": 2.5}),
        ("prior", {"default_rate_factor": 4.0}),
        ("concept", {"riskier": 0.9}),  # of log-odds: 1.9 times the defaults
    ],
)
def test_each_drift_is_named_for_what_it_is(
    portfolio: Portfolio, tmp_path: Path, kind: str, planted: dict[str, float], seed: int
) -> None:
    """Of 2,000 applicants; the scores move in the first two, and inputs tell which of them it is."""
    month = draw(ROWS, seed, **planted)
    outcomes = dict(zip(month["sk_id_curr"].tolist(), month["target"].tolist(), strict=True))
    report = measure(portfolio, month, tmp_path, outcomes=outcomes)
    assert [cause.kind for cause in report.causes] == [kind]
    assert report.retrain
    if kind == "covariate":
        assert set(report.causes[0].features) <= {
            "installments__late_share",
            "bureau__dpd_months_share",
            "bureau__overdue_days_max",
        }


def shifted(month: pd.DataFrame, by: float) -> pd.DataFrame:
    return month.assign(application__ext_2_score=month["application__ext_2_score"] + by)


def without_feed(month: pd.DataFrame, share: float) -> pd.DataFrame:
    lost = month.index < share * len(month)
    month.loc[lost, [name for name in month if str(name).startswith("bureau__")]] = np.nan
    return month.assign(**{FLAG: month[FLAG] & ~lost})


def in_unit(month: pd.DataFrame, factor: float) -> pd.DataFrame:
    return month.assign(application__employed_days=month["application__employed_days"] * factor)


NAMED = [  # what is planted, by which function, its size, and the share of months in which it must be named for what it is
    ("covariate", lambda seed, size: draw(ROWS, seed, habits=size), 0.33, 0.8),
    ("covariate", lambda seed, size: draw(ROWS, seed, habits=size), 0.5, 0.98),
    ("covariate", lambda seed, size: draw(ROWS, seed, habits=size), 1.0, 0.98),
    ("covariate", lambda seed, size: shifted(draw(ROWS, seed), size), -0.05, 0.4),
    ("covariate", lambda seed, size: shifted(draw(ROWS, seed), size), -0.075, 0.98),
    ("covariate", lambda seed, size: shifted(draw(ROWS, seed), size), -0.1, 0.98),
    ("prior", lambda seed, size: draw(ROWS, seed, default_rate_factor=size), 2.0, 0.5),
    ("prior", lambda seed, size: draw(ROWS, seed, default_rate_factor=size), 2.5, 0.95),
    ("prior", lambda seed, size: draw(ROWS, seed, default_rate_factor=size), 4.0, 0.98),
    ("concept", lambda seed, size: draw(ROWS, seed, riskier=size), 0.5, 0.3),
    ("concept", lambda seed, size: draw(ROWS, seed, riskier=size), 0.9, 0.98),
    ("missing_feed", lambda seed, size: without_feed(draw(ROWS, seed), size), 0.6, 0.98),
    ("unit_change", lambda seed, size: in_unit(draw(ROWS, seed), size), 7.0, 0.98),
    ("unit_change", lambda seed, size: in_unit(draw(ROWS, seed), size), 0.001, 0.98),
]


@pytest.mark.drill
@pytest.mark.parametrize(("kind", "plant", "size", "least"), NAMED, ids=[f"{each[0]} {each[2]:g}" for each in NAMED])
def test_how_often_each_drift_is_named_for_what_it_is(
    portfolio: Portfolio,
    tmp_path: Path,
    kind: str,
    plant: Callable[[int, float], pd.DataFrame],
    size: float,
    least: float,
) -> None:
    """Of 100 months of 2,000 applicants whose outcomes are known; docs/drift.md has the shares (`-s` prints them)."""
    named: Counter[str] = Counter()
    for seed in range(20_000, 20_000 + QUIET_MONTHS):
        month = plant(seed, size)
        outcomes = dict(zip(month["sk_id_curr"].tolist(), month["target"].tolist(), strict=True))
        causes = measure(portfolio, month, tmp_path, outcomes=outcomes).causes
        named[" and ".join(cause.kind for cause in causes) or "nothing"] += 1
    print(f"\n{kind} {size:g}: {dict(named.most_common())}")  # noqa: T201 - the drill's figures
    assert named[kind] >= least * QUIET_MONTHS


def test_joined_feeds_that_lost_the_same_inputs_are_named_together(portfolio: Portfolio, tmp_path: Path) -> None:
    month = draw(ROWS, 52)
    lost = ["bureau__dpd_months_share", "bureau__history_months_max"]
    month[lost] = np.nan
    joined = {name: frozenset({("bureau", "A"), ("bureau_balance", "B")}) for name in lost}
    others = {name: made for name, made in ORIGINS.items() if not name.startswith("bureau__") and name != FLAG}
    found = measure(portfolio, month, tmp_path, origins={**others, **joined})
    assert kinds(found) == [("missing_feed", "bureau and bureau_balance")]


def test_applicants_who_default_more_and_look_alike_are_concept_drift(portfolio: Portfolio, tmp_path: Path) -> None:
    month = draw(ROWS, 58, riskier=0.9)
    outcomes = dict(zip(month["sk_id_curr"].tolist(), month["target"].tolist(), strict=True))
    assert kinds(measure(portfolio, month, tmp_path, outcomes=outcomes)) == [("concept", "score")]
    assert kinds(measure(portfolio, month, tmp_path)) == []  # without outcomes nobody can see it


def test_outcomes_as_expected_are_no_concept_drift(portfolio: Portfolio, tmp_path: Path) -> None:
    month = draw(ROWS, 59)
    outcomes = dict(zip(month["sk_id_curr"].tolist(), month["target"].tolist(), strict=True))
    assert not measure(portfolio, month, tmp_path, outcomes=outcomes).causes


def test_other_features_that_decide_are_told() -> None:
    names = tuple(f"f{place}" for place in range(10))
    before = np.random.default_rng(0).normal(size=(300, 10)) * np.arange(10, 0, -1)
    same, turned = attribution(before, before[:150], names), attribution(before, before[:, ::-1], names)
    assert attribution_moved(same, LIMITS) is None
    cause = attribution_moved(turned, LIMITS)
    assert cause is not None
    assert cause.kind == "attribution"
    assert turned.rank_agreement < 0
    assert cause.features[0] in {"f0", "f9", "f8", "f7"}  # the ends changed most


def test_inputs_that_go_together_otherwise_are_told_though_none_moved(portfolio: Portfolio, tmp_path: Path) -> None:
    month = draw(ROWS, 60)
    month["application__ext_2_score"] = np.sort(month["application__ext_2_score"])
    month = month.assign(installments__late_share=np.sort(month["installments__late_share"]))
    report = measure(portfolio, month, tmp_path, reference=portfolio.reference)
    assert not report.table["drifted"].any() or report.table.set_index("feature").loc["score", "drifted"]
    assert ("mixture", "score") in kinds(report)


@pytest.mark.parametrize("rows", [0, 1, 499])
def test_too_few_applicants_are_no_verdict(portfolio: Portfolio, tmp_path: Path, rows: int) -> None:
    month = draw(500, 61).assign(application__ext_2_score=0.0)
    report = measure(portfolio, month, tmp_path, rows, reference=portfolio.reference)
    assert (report.status, report.causes, report.retrain) == ("unknown", (), False)
    assert f"{rows} current applicants" in report.words


def test_only_the_applicants_asked_for_are_measured(portfolio: Portfolio, tmp_path: Path) -> None:
    month = pd.concat([draw(600, 62), draw(600, 63).assign(application__ext_2_score=0.0)])
    pd.DataFrame({"SK_ID_CURR": draw(600, 62)["sk_id_curr"]}).to_parquet(tmp_path / "among.parquet")
    report = measure(portfolio, month, tmp_path, among=tmp_path / "among.parquet", reference=portfolio.reference)
    assert (report.status, report.current_rows) == ("stable", 600)


def test_pds_that_are_there_are_taken(portfolio: Portfolio, tmp_path: Path) -> None:
    report = measure(portfolio, draw(ROWS, 64).assign(pd=0.9), tmp_path)
    assert report.score_psi > 1
    decided = report.table.set_index("feature").loc[["grade", "decision"], "drifted"]
    assert decided.all()


def test_new_categories_are_drift_of_their_input(portfolio: Portfolio, tmp_path: Path) -> None:
    report = measure(portfolio, draw(ROWS, 65).assign(**{CATEGORY: "new"}), tmp_path)
    assert report.table.set_index("feature").loc[CATEGORY, "drifted"]


def test_the_table_holds_its_contract_and_the_report_is_json(
    portfolio: Portfolio, tmp_path: Path, con: duckdb.DuckDBPyConnection
) -> None:
    report = measure(portfolio, draw(ROWS, 66), tmp_path, reference=portfolio.reference)
    assert set(report.table["feature"]) >= {"score", "grade", "decision", "reason"}
    report.table.to_parquet(tmp_path / "t.parquet", index=False)
    assert check(con, parquet_relation(tmp_path / "t.parquet"), CONTRACT).failures == ()
    assert json.loads(json.dumps(report.to_dict()))["retrain"] is False


def test_evidently_draws_the_score_what_matters_and_what_moved(portfolio: Portfolio, tmp_path: Path) -> None:
    month = draw(600, 67).assign(installments__paid_amt_sum=np.nan)
    limits = portfolio.policy.drift.model_copy(update={"reported_inputs": 2, "sample_rows": 400})
    small = replace(portfolio, policy=portfolio.policy.model_copy(update={"drift": limits}))
    month["bureau__debt_amt_sum"] = 5.0
    report = measure(small, month, tmp_path, reference=portfolio.reference)
    samples = report.samples
    assert samples is not None
    paths = {"json_path": tmp_path / "d.json", "html_path": tmp_path / "d.html"}
    drawn = write_evidently_report(
        samples.reference, samples.current, samples.scores, inputs_of(portfolio.bundle), report, limits, **paths
    )
    most = max(portfolio.importance, key=lambda name: portfolio.importance[name])
    assert {"score", most} <= set(drawn)
    assert len(drawn) >= 3
    named = {metric["config"].get("column") for metric in json.loads(paths["json_path"].read_text())["metrics"]}
    assert set(drawn) <= named
    assert "<html" in paths["html_path"].read_text().lower()


def test_months_are_drawn_whatever_happened_in_them(portfolio: Portfolio, tmp_path: Path) -> None:
    quiet = measure(portfolio, draw(600, 68), tmp_path, reference=portfolio.reference)
    few = measure(portfolio, draw(500, 69).iloc[:20], tmp_path)
    lost = measure(portfolio, draw(600, 70).assign(application__annuity_amt=np.nan), tmp_path)
    months = [("2026-01", quiet), ("2026-02", few), ("2026-03", lost)]
    facts = [(name, report.to_dict()) for name, report in months]
    pictures = [
        draw_months(facts, 0.25),
        draw_inputs_by_month([(name, report.table) for name, report in months]),
        draw_attribution(quiet.attribution),  # type: ignore[arg-type]
    ]
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)
