"""The catalogue of reasons as Markdown: every group with its code, every feature with the words an applicant is told.

What belongs here: rendering `docs/reason-catalogue.md`;
`python -m creditrisk_assets.modelling.explanation.catalogue_page > docs/reason-catalogue.md`. What does not: any word of its own.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from creditrisk_assets.features.families import applicant_features
from creditrisk_assets.modelling.explanation.principal import MISSING, STATES, Telling
from creditrisk_assets.modelling.explanation.reasons import catalogue
from creditrisk_assets.modelling.policy import load_policy


def render() -> str:
    """Return the catalogue as Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    book = catalogue([feature.name for feature in applicant_features()])
    yield "# Reason catalogue"
    yield ""
    yield (
        "Generated from the contracts and the policy; do not edit: `make docs`. [Reasons](reasons.md) says how they are found and ranked."
    )
    yield ""
    yield (
        f"{len(book.tellings)} features in {len(book.groups)} groups. An applicant is told of a group by the feature in it that"
        " contributed most: its words, then what the value is. A code hangs on the group's name alone, so it changes with neither order"
        " nor model."
    )
    yield ""
    yield "| kind of feature | what its value may be |"
    yield "|---|---|"
    for kind, states in STATES.items():
        yield f"| {kind} | {'; '.join(book.words[state] for state in (*states, MISSING))} |"
    yield ""
    yield "## Hard rules of the policy"
    yield ""
    yield "| code | rule | what is told |"
    yield "|---|---|---|"
    for rule in load_policy().eligibility:
        yield f"| {rule.code} | `{rule.name}` | {rule.told} |"
    for family, tellings in groupby(book.tellings, lambda telling: telling.feature.partition("__")[0]):
        yield ""
        yield f"## {family}"
        yield ""
        yield from _table(book.codes, list(tellings))


def _table(codes: Mapping[str, str], tellings: Sequence[Telling]) -> Iterator[str]:
    yield "| code | group | feature | what is told | value |"
    yield "|---|---|---|---|---|"
    for group in dict.fromkeys(telling.group for telling in tellings):
        for telling in tellings:
            if telling.group == group:
                yield f"| {codes[group]} | `{group}` | `{telling.feature}` | {telling.said} | {telling.value or ''} |"


if __name__ == "__main__":
    sys.stdout.write(render())
