"""Stage 4b: whether the reasons of declines are what the model declined for."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import numpy as np

from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.defs.artefact import (
    Artefact,
    CheckOutcome,
    Made,
    Work,
    picture_of,
    require_one_lineage,
    table_of,
)
from creditrisk_assets.defs.split import SPLIT_TEST
from creditrisk_assets.defs.training import BUNDLE, MODEL, REFERENCE_APPLICANTS, choose
from creditrisk_assets.defs.vocabulary import Describe
from creditrisk_assets.features.lineage import applicant_lineage
from creditrisk_assets.lake import Lake, Version, write_atomically
from creditrisk_assets.modelling.auc import Interval
from creditrisk_assets.modelling.bundle import Bundle
from creditrisk_assets.modelling.explanation import explainer, fidelity, fidelity_plots, principal
from creditrisk_assets.modelling.explanation.explainer import TOLERANCE
from creditrisk_assets.modelling.explanation.fidelity import DISCLOSED, EVERY, RANDOM, Fidelity, measure_fidelity
from creditrisk_assets.modelling.explanation.principal import BookError
from creditrisk_assets.modelling.explanation.reference_set import draw
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.part_scores import columns_of
from creditrisk_assets.modelling.signing import trusted_keys
from creditrisk_assets.modelling.tables import read_part
from creditrisk_assets.settings import Settings

REASONS = "governance/reasons"
FILE = "reasons.json"
PLOTS = ("flips", "mix")
DECLINES = 2_000  # looked at, drawn by a hash of their ids
FEWEST = 20  # declines from which rates of flips are judged: fewer are no evidence
SHOWN = 20
PATHS_CHECK = "disclosed_not_below_tree_paths"


def _make(work: Work) -> Made:
    require_one_lineage(work.inputs)
    model = work.inputs[MODEL]
    public = trusted_keys(work.settings.keys, work.settings.signing_key)
    bundle = Bundle.load(model.path / BUNDLE, public)
    inputs = [ModelInput(feature.name, feature.family, feature.kind) for feature in bundle.features]
    part = read_part(work.inputs[SPLIT_TEST].data, inputs)
    rows = bundle.encode(columns_of(part, bundle.features)).astype(np.float32)
    declined = bundle.score_float32(rows) >= bundle.policy.decisions.decline_from
    chosen = np.flatnonzero(declined)[draw(part.ids[declined], DECLINES)]
    references = np.load(model.path / REFERENCE_APPLICANTS, allow_pickle=False)
    by_paths = fidelity.path_dependent((model.path / BUNDLE / "model.txt").read_text("utf-8"), rows[chosen])
    work.context.log.info(f"reasons: {len(chosen):,} of {int(declined.sum()):,} declined test applicants")
    found = measure_fidelity(bundle, rows[chosen], references, by_paths)
    facts = {
        "rows": found.applicants,
        "declined": int(declined.sum()),
        "model_version": bundle.version,
        **found.facts(),
    }
    (work.draft.path / FILE).write_text(json.dumps(facts, indent=1), "utf-8")
    pictures = (fidelity_plots.draw_flips(found), fidelity_plots.draw_mix(found))
    for name, picture in zip(PLOTS, pictures, strict=True):
        (work.draft.path / f"{name}.png").write_bytes(picture)
    return Made(facts, [*_of_declines(found), _told_of(bundle), _prohibited(bundle, work.settings)])


def _of_declines(found: Fidelity) -> list[CheckOutcome]:
    names = ("every_decline_flips", "disclosed_beats_random", "contributions_add_up")
    if found.additivity_gap is None:
        words = "not applicable: the model declines none of the test applicants"
        return [CheckOutcome(name, passed=True, facts={"description": words}) for name in (*names, PATHS_CHECK)]
    every, disclosed, random = (found.rate(name) for name in (EVERY, DISCLOSED, RANDOM))
    judged = (
        (
            every.approved == 1,
            f"{every.approved:.2%} of {found.applicants:,} declined applicants are approved with the values of"
            " applicants just approved in every adverse group",
        ),
        (
            found.applicants < FEWEST or disclosed.no_longer_declined > random.no_longer_declined,
            f"no longer declined with the values of applicants just approved:"
            f" in the four disclosed groups {disclosed.no_longer_declined:.1%}, in four random adverse groups"
            f" {random.no_longer_declined:.1%}",
        ),
        (found.additivity_gap <= TOLERANCE, f"sums beside the margin: {found.additivity_gap:.2g} at most"),
    )
    return [
        *(
            CheckOutcome(name, bool(passed), {"description": words})
            for name, (passed, words) in zip(names, judged, strict=True)
        ),
        CheckOutcome(
            PATHS_CHECK,
            found.beyond_paths is None or found.beyond_paths.high >= 0,
            {"description": _beyond(found.beyond_paths)},
            "WARN",
        ),
    ]


def _beyond(paths: Interval | None) -> str:
    if paths is None:
        return "one decline is no evidence"
    interval = f"{paths.value:+.4f} ({paths.low:+.4f} to {paths.high:+.4f})"
    return f"the four disclosed groups take {interval} more off the margin than the four by tree paths"


def _told_of(bundle: Bundle) -> CheckOutcome:
    """Look at the reasons the bundle carries."""
    problem = "the bundle carries no reasons"
    if bundle.reasons is not None:
        try:
            bundle.reasons.require(bundle.feature_names)
        except BookError as error:
            problem = str(error)
        else:
            words = f"{len(bundle.feature_names)} inputs in {len(bundle.reasons.groups)} groups"
            return CheckOutcome("every_input_has_a_reason", passed=True, facts={"description": words})
    return CheckOutcome("every_input_has_a_reason", passed=False, facts={"description": problem})


def _prohibited(bundle: Bundle, settings: Settings) -> CheckOutcome:
    choice, lineage = choose(settings), applicant_lineage()
    prohibited = {column for columns in choice.attributes.values() for column in columns}
    told = () if bundle.reasons is None else tuple(telling.feature for telling in bundle.reasons.tellings)
    reached = reaching(told, lineage, prohibited, allowed=choice.reasons)
    words = f"{len(told)} features can be told of; reaching a prohibited attribute: {', '.join(reached) or 'none'}"
    return CheckOutcome("no_reason_reaches_a_prohibited_attribute", passed=not reached, facts={"description": words})


def reaching(
    told: Sequence[str],
    lineage: Mapping[str, Any],
    prohibited: set[str],
    *,
    allowed: Mapping[str, str],
) -> list[str]:
    """Name the features among those told of whose column lineage reaches a prohibited attribute, but those the policy allows by name."""
    return [name for name in told if {column for _, column in lineage[name]} & prohibited and name not in allowed]


def _show(version: Version) -> Mapping[str, dg.MetadataValue]:
    facts = version.manifest.metadata["facts"]
    agreed = facts["rank_agreement"]
    shown: dict[str, dg.MetadataValue] = {
        "declined test applicants looked at": dg.MetadataValue.int(facts["applicants"]),
        "plots": picture_of(*(version.path / f"{name}.png" for name in PLOTS)),
    }
    if facts["applicants"]:
        shown["taken off the margin, beside the ranking by tree paths"] = dg.MetadataValue.text(
            _beyond(None if facts["beyond_paths"] is None else Interval(**facts["beyond_paths"]))
        )
        shown |= {"flips": table_of(facts["flips"]), "mix": table_of(facts["mix"][:SHOWN])}
    if agreed is not None:
        shown["rank agreement with scoring without each group"] = dg.MetadataValue.float(round(agreed, 4))
    return shown


def _export(settings: Settings, _lake: Lake, version: Version) -> None:
    settings.reports.mkdir(parents=True, exist_ok=True)
    write_atomically(settings.reports / FILE, (version.path / FILE).read_text("utf-8"))


FIDELITY = Artefact(
    key=REASONS,
    group="governance",
    kinds=frozenset({"lightgbm"}),
    describe=Describe(
        what=(
            "Whether what declined applicants are told is what the model declined them for: flips when groups take the values of applicants"
            " just approved, beside random groups and LightGBM's own ranking; agreement of ranks; how often each reason is told."
        ),
        grain="one model",
        built_from="`model/pd` with its reference applicants, features of `training/split_test`; no outcome is looked at",
        known_at="when the model is",
        consumed_by="whoever answers for notices of adverse action, `reports/reasons.json`",
        fails_when=(
            "an applicant stays declined without the reasons, disclosed groups flip no more than random ones, contributions do not add up,"
            " an input has no reason, or one reaches a prohibited attribute"
        ),
        source="creditrisk_assets/modelling/explanation/fidelity.py",
    ),
    code_version=code_version(fidelity, fidelity_plots, principal, explainer),
    make=_make,
    show=_show,
    deps=(MODEL, SPLIT_TEST),
    checks={
        "every_decline_flips": (
            "Each declined applicant would be approved with the values of applicants just approved in every group that raised the PD: the"
            " reasons leave nothing out. Fails when contributions are not the model's: train the version again."
        ),
        "disclosed_beats_random": (
            "With the values of applicants just approved in the four disclosed groups, more are no longer declined than with them in four"
            " random groups that raised the PD (judged from 20 declines). Where not, the ranking says nothing: look at the groups."
        ),
        PATHS_CHECK: (
            "The four disclosed groups take no less off the margin than the four that LightGBM's own, path-dependent contributions would"
            " disclose, by a paired interval of 95 %. Where not, look at the groups; nothing is blocked."
        ),
        "contributions_add_up": "Contributions and base are the margin, of each applicant looked at, to 0.000001.",
        "every_input_has_a_reason": "The bundle carries a text of its own and a group for each input.",
        "no_reason_reaches_a_prohibited_attribute": (
            "No feature an applicant can be told of has a prohibited attribute in its column lineage, unless the policy allows it by name."
        ),
    },
    export=_export,
)
ARTEFACTS = (FIDELITY,)
