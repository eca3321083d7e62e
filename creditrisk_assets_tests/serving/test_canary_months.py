"""The months of a lake, scored by two real bundles: which count, whose outcomes, and what is said of those that cannot be compared."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from creditrisk_assets.contracts.months import MATURED
from creditrisk_assets.defs.canary_months import compare_months, month_versions
from creditrisk_assets.defs.months import FEATURES, MONTH_APPLICATIONS, RAW_OUTCOMES
from creditrisk_assets.lake import Lake, LakeError
from creditrisk_assets.modelling.bundle import Bundle, read_public_key
from creditrisk_assets.modelling.part_scores import score_table
from creditrisk_assets.modelling.policy import MonitoringRules, MonthsRule, load_policy
from creditrisk_assets.registry.months_compared import NONE_YET, Months
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.portfolio import train_bundle

POLICY = load_policy()
assert POLICY.canary is not None
LIMITS = POLICY.canary.model_copy(
    update={"resamples": 100, "months": MonthsRule(recent=2, minimum_outcomes=20, minimum_defaults=2)}
)
RULES = MonitoringRules()


class Office:
    """A home with two bundles and whatever months a test puts into its lake."""

    def __init__(self, published: Published) -> None:
        self.settings = Settings()
        self.lake = Lake(self.settings.lake)
        self.published = published
        public = read_public_key(self.settings.keys)
        self.champion = Bundle.load(self.settings.bundles / published.champion, public)
        self.candidate = Bundle.load(published.challenger_bundle, public)
        self.ids, self.pds = score_table(self.candidate, published.joined)
        self.risky = dict(
            zip(self.ids.tolist(), (self.pds > pd.Series(self.pds).median()).astype(int).tolist(), strict=True)
        )

    def decide(self, month: str, *, without: tuple[str, ...] = (), by: str | None = None) -> None:
        """Publish a month in which everybody was granted a loan."""
        with self.lake.draft(f"{MONTH_APPLICATIONS}/{month}") as draft:
            pd.DataFrame({"sk_id_curr": self.ids, "decision": "approve"}).to_parquet(draft.data)
            seen = pq.read_table(self.published.joined)
            pq.write_table(seen.drop_columns(list(without)), draft.path / FEATURES)
            facts = {"model_version": by or self.champion.version}
            self.lake.publish(draft, code_version="test", inputs={}, metadata={"facts": facts, "checks": []})

    def tell(self, seen_in: str, applied_in: str, outcomes: dict[int, int]) -> None:
        """Publish outcomes."""
        rows = pd.DataFrame({"SK_ID_CURR": list(outcomes), "OUTCOME": list(outcomes.values())})
        rows = rows.assign(APPLICATION_MONTH=applied_in, OBSERVED_MONTH=seen_in, MATURITY=MATURED)
        with self.lake.draft(f"{RAW_OUTCOMES}/{seen_in}") as draft:
            rows.to_parquet(draft.data)
            facts = {"maturity": [{"applied_in": applied_in, "outcomes": len(rows)}]}
            self.lake.publish(draft, code_version="test", inputs={}, metadata={"facts": facts, "checks": []})

    def compare(self, **sides: Any) -> Months:
        both = {"candidate": self.candidate, "champion": self.champion} | sides
        return compare_months(self.settings, self.lake, both["candidate"], both["champion"], LIMITS, RULES)


@pytest.fixture
def office(published: Published, monkeypatch: pytest.MonkeyPatch) -> Office:
    monkeypatch.setenv("CREDITRISK_HOME", str(published.home))
    return Office(published)


def test_a_candidate_that_outcomes_speak_against_is_stopped(office: Office) -> None:
    assert office.compare().words == NONE_YET
    office.decide("2025-01")
    office.decide("2025-04")
    office.tell("2025-04", "2025-01", {applicant: 1 - bad for applicant, bad in office.risky.items()})
    found = office.compare()
    assert [(month.month, month.state, month.outcomes) for month in found.compared] == [
        ("2025-01", "matured", 80), ("2025-04", "pending", 0),
    ]  # fmt: skip
    assert found.compared[0].auc is not None
    assert found.compared[0].auc.candidate == 0, "outcomes are of the applicants they were told of"
    assert found.compared[1].auc is None
    assert found.problems[0].startswith("on the applicants of 2025-01 its AUC is 0.0000 against")
    office.tell("2025-05", "2025-01", office.risky)  # corrected: what was seen last counts
    again = office.compare()
    assert again.problems == ()
    assert again.compared[0].auc is not None
    assert again.compared[0].auc.candidate == 1


def test_outcomes_count_when_the_month_is_old_enough_and_almost_all_are_known(office: Office) -> None:
    office.decide("2025-01")
    office.tell("2025-03", "2025-01", office.risky)
    assert [(month.state, month.outcomes) for month in office.compare().compared] == [("maturing", 0)]
    office.decide("2025-04")
    assert [month.outcomes for month in office.compare().compared] == [80, 0]
    some = dict(list(office.risky.items())[:70])
    office.tell("2025-03", "2025-01", some)
    assert [month.state for month in office.compare().compared] == ["late", "pending"]


def test_the_newest_months_and_the_newest_with_outcomes_are_compared(office: Office) -> None:
    for month in ("2025-01", "2025-02", "2025-05", "2025-06"):
        office.decide(month)
    office.tell("2025-04", "2025-01", office.risky)
    assert [month.month for month in office.compare().compared] == ["2025-01", "2025-05", "2025-06"]


def test_a_month_that_lacks_an_input_is_said_and_the_others_are_compared(office: Office) -> None:
    gone = office.candidate.feature_names[:4]
    office.decide("2025-01", without=gone)
    office.decide("2025-02")
    found = office.compare()
    assert [month.month for month in found.compared] == ["2025-02"]
    why = f"lacks 4 of {len(office.candidate.feature_names)} inputs of the candidate: {', '.join(gone[:3])}, …"
    assert why in found.left_out["2025-01"]
    assert office.champion.version in found.left_out["2025-01"]


def test_a_month_whose_bundle_is_gone_cannot_be_compared(office: Office) -> None:
    office.decide("2025-01", by="f" * 16)
    assert "what its features mean is not known" in office.compare().left_out["2025-01"]


def test_a_month_whose_features_meant_something_else_is_not_compared(office: Office) -> None:
    office.decide("2025-01")
    plan = json.loads(json.dumps(dict(office.candidate.plan)))
    plan["families"]["bureau"]["definition"] = "another"
    made = office.settings.root / "made" / "other"
    other = train_bundle(office.published.joined, office.settings.root, made, seed=2, plan=plan)
    found = office.compare(candidate=other)
    assert found.left_out == {"2025-01": "features/bureau meant something else than it means to the candidate"}


def test_months_of_the_sample_say_nothing_of_a_candidate_of_real_data(office: Office) -> None:
    office.decide("2025-01")
    made = office.settings.root / "made"
    figures = {"auc": 0.5, "synthetic": False}
    real = train_bundle(office.published.joined, office.settings.root, made / "real", seed=3, metrics=figures)
    mixed = office.compare(candidate=real)
    assert mixed.left_out == {"2025-01": "its applicants are of the sample portfolio, the candidate is of real data"}
    (made / "real").rename(office.settings.bundles / real.version)
    office.decide("2025-02", by=real.version)
    assert "of real data, the candidate is of the sample" in office.compare().left_out["2025-02"]
    assert [month.month for month in office.compare(candidate=real).compared] == ["2025-02"]
    office.settings.simulation.mkdir(exist_ok=True)
    (office.settings.simulation / "2025-02.json").write_text("{}")  # scored by it, and drawn all the same
    assert set(office.compare(candidate=real).left_out) == {"2025-01", "2025-02"}


def test_a_damaged_month_stops_the_comparison_in_words(office: Office) -> None:
    office.decide("2025-01")
    path: Path = office.lake.require(f"{MONTH_APPLICATIONS}/2025-01").path / FEATURES
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(LakeError, match=r"features\.parquet was damaged; run `creditrisk backfill 2025-01`"):
        office.compare()


def test_a_month_or_outcomes_that_change_make_the_comparison_stale(office: Office) -> None:
    assert month_versions(office.lake) == {}
    office.decide("2025-01")
    before = month_versions(office.lake)
    office.tell("2025-04", "2025-01", office.risky)
    after = month_versions(office.lake)
    assert list(before) == ["monitoring/applications/2025-01"]
    assert list(after) == ["monitoring/applications/2025-01", "raw/outcomes/2025-04"]
