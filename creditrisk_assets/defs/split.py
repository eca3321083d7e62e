"""Stage 3a: the split into training and test applicants."""

import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from creditrisk_assets.contracts import relaxations
from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.contracts.splits import SPLITS
from creditrisk_assets.contracts.table import TableContract
from creditrisk_assets.defs.artefact import Artefact, CheckOutcome, Made, Work
from creditrisk_assets.defs.columns import schema_of
from creditrisk_assets.defs.contract_checks import CONTRACT, contract_outcomes, relaxed
from creditrisk_assets.defs.features import APPLICANT_KEY
from creditrisk_assets.defs.vocabulary import Describe, raw_key
from creditrisk_assets.features.families import applicant_features
from creditrisk_assets.lake import Lake
from creditrisk_assets.modelling import leaks, split
from creditrisk_assets.modelling.configuration import load_configuration
from creditrisk_assets.modelling.leaks import SHOWN, LeakResult
from creditrisk_assets.modelling.split import CheckResult
from creditrisk_assets.settings import Settings

SPLIT_TRAIN, SPLIT_TEST = "training/split_train", "training/split_test"
TEST_PART = "test.parquet"
TRAIN_CONTRACT, TEST_CONTRACT = SPLITS["split_train"], SPLITS["split_test"]
CHECKS = CONTRACT | {
    "one_row_per_applicant": "No applicant is twice in the part, and none is without an id.",
    "numbers_finite": "No number is NaN or infinite: an unknown value is NULL.",
    "no_feature_missing": "Every feature of the store is a column.",
}
# What to do is said in docs/leaks.md, and here, where a person who is stopped reads first.
LEAK_CHECKS = {
    "no_single_feature_tells_the_outcome": (
        "No feature alone separates defaults better than an honest one can, by its value, its being NULL or its category. Fails for a"
        " feature that knows the outcome: find what in its lineage was recorded after the application, and mend its SQL or its input;"
        " one that is honestly that strong is allowed by name in model.yaml."
    ),
    "ids_tell_nothing": (
        "SK_ID_CURR says nothing about TARGET. Fails when ids were given by outcome: take them anew at the source; where they follow"
        " the date of application and the default rate moved, allow `sk_id_curr` by name in model.yaml."
    ),
    "row_order_tells_nothing": (
        "Where a row lies, in the part and in the applications as delivered, says nothing about TARGET. Fails when rows are sorted by"
        " outcome, which any feature or fold that depends on their order would learn: have them delivered in another order, or allow"
        " `row_of_split_train` and `row_of_application_train` by name in model.yaml."
    ),
}


def _make_train(work: Work) -> Made:
    with work.connection() as con:
        counts = split.split_applicants(
            con,
            work.inputs[APPLICANT_KEY].data,
            work.inputs[raw_key("application_train")].data,
            work.draft.data,
            work.draft.path / TEST_PART,
        )
        checks = [
            split.one_row_per_applicant(con, work.draft.data),
            split.numbers_finite(con, work.draft.data),
            split.no_feature_missing(con, work.draft.data, _feature_names()),
            split.default_rates_equal(counts),
        ]
        contract = _contract(con, work, TRAIN_CONTRACT)
        found = _leaks(con, work)
    return Made({"rows": counts.train_rows, **vars(counts)}, [*contract, *map(_outcome, checks), *found])


def _leaks(con: duckdb.DuckDBPyConnection, work: Work) -> list[CheckOutcome]:
    limits, today = load_configuration().leaks, datetime.now(UTC).date()
    readings = leaks.single_feature_readings(work.draft.data, limits, threads=work.settings.threads)
    order = leaks.read_order(con, work.draft.data, work.inputs[raw_key("application_train")].data)
    results = [
        leaks.no_single_feature_tells_the_outcome(readings, limits, today),
        leaks.ids_tell_nothing(order, limits, today),
        leaks.row_order_tells_nothing(order, limits, today),
    ]
    return [leak_outcome(result) for result in results]


def leak_outcome(result: LeakResult) -> CheckOutcome:
    """Render a leak test as a check: what comes closest to its limit first; a leak that is allowed by name warns."""
    facts: dict[str, object] = {"description": result.words}
    if result.readings:
        facts["readings"] = [vars(reading) for reading in result.readings[:SHOWN]]
    return CheckOutcome(
        result.claim, passed=result.passed, facts=facts, severity="ERROR" if result.passed or result.blocks else "WARN"
    )


def _make_test(work: Work) -> Made:
    train = work.inputs[SPLIT_TRAIN]
    _link(train.path / TEST_PART, work.draft.data)
    with work.connection() as con:
        checks = [
            split.one_row_per_applicant(con, work.draft.data),
            split.numbers_finite(con, work.draft.data),
            split.no_feature_missing(con, work.draft.data, _feature_names()),
            split.train_test_disjoint(con, train.data, work.draft.data),
        ]
        contract = _contract(con, work, TEST_CONTRACT)
    return Made({"rows": train.manifest.metadata["facts"]["test_rows"]}, [*contract, *map(_outcome, checks)])


def _contract(con: duckdb.DuckDBPyConnection, work: Work, contract: TableContract) -> tuple[CheckOutcome, ...]:
    allowed = relaxations.load(work.settings.relaxations)
    return contract_outcomes(check(con, parquet(work.draft.data), contract, relaxations=allowed))


def _link(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system cannot."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _outcome(result: CheckResult) -> CheckOutcome:
    facts = {"description": result.words, "measured": result.measured, "limit": result.limit}
    return CheckOutcome(result.claim, passed=result.passed, facts=facts)


def _feature_names() -> list[str]:
    return [feature.name for feature in applicant_features()]


def _judged_by(settings: Settings, _lake: Lake) -> Mapping[str, str]:
    """Fingerprint the limits of the leak tests and the allowances of this day."""
    limits, today = load_configuration().leaks, datetime.now(UTC).date()
    return {
        **relaxed(settings, TRAIN_CONTRACT),
        "leak_limits": code_version(limits.model_dump(mode="json")),
        "leak_allowances": ",".join(sorted(limits.allowed(today))),
    }


TRAIN = Artefact(
    key=SPLIT_TRAIN,
    group="training",
    kinds=frozenset({"duckdb", "parquet"}),
    describe=Describe(
        what="The applicants the model learns from; the decision who is in which part is taken here, per applicant, by a seeded hash.",
        grain="one row per SK_ID_CURR with a TARGET, four fifths of each class",
        built_from="`features/applicant`, TARGET of `raw/application_train`",
        known_at="the application day; TARGET later",
        consumed_by="`model/pd`, `monitoring/drift` as reference",
        fails_when=(
            "TARGET has one class, an applicant is lost or doubled, a feature is missing or not finite, default rates differ, or a"
            " feature, the id or the order of rows tells the outcome"
        ),
        source="creditrisk_assets/modelling/split.py",
    ),
    code_version=code_version(split, leaks, TRAIN_CONTRACT),
    make=_make_train,
    deps=(APPLICANT_KEY, raw_key("application_train")),
    checks=CHECKS | {"default_rates_equal": "Training and test part default alike, within a tolerance."} | LEAK_CHECKS,
    columns=schema_of(TRAIN_CONTRACT),
    also_from=_judged_by,
)
TEST = Artefact(
    key=SPLIT_TEST,
    group="training",
    kinds=frozenset({"duckdb", "parquet"}),
    describe=Describe(
        what="The applicants the model never sees before its evaluation.",
        grain="one row per SK_ID_CURR with a TARGET, one fifth of each class",
        built_from="the decision taken in `training/split_train`",
        known_at="the application day; TARGET later",
        consumed_by="`model/evaluation`",
        fails_when="an applicant is in both parts or doubled, or a feature is missing or not finite",
        source="creditrisk_assets/modelling/split.py",
    ),
    code_version=code_version(split, TEST_CONTRACT),
    make=_make_test,
    deps=(SPLIT_TRAIN,),
    checks=CHECKS | {"train_test_disjoint": "No applicant is in both parts."},
    columns=schema_of(TEST_CONTRACT),
    also_from=lambda settings, _lake: relaxed(settings, TEST_CONTRACT),
)
ARTEFACTS = (TRAIN, TEST)
