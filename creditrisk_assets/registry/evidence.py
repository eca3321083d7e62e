"""What must be on the table before a version may become champion, and whether it is.

What belongs here: the documents, their hash, what is missing or stale. What does not: collecting them from the lake (`defs.canary`), what
they say (`comparison`, `modelling.validation`), who approves on them (`approvals`).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

COMPARISON, EVALUATION, VALIDATION = "comparison", "evaluation", "validation"


@dataclass(frozen=True)
class Document:
    """One piece of evidence about a version."""

    sha256: str  # of what it says
    made_at: str  # ISO 8601 with zone
    problems: Sequence[str] = ()  # what in it speaks against the version


@dataclass(frozen=True)
class Evidence:
    """All evidence about one version.

    Attributes
    ----------
    model_version, bundle_sha256, bundle_made_at
        The version it is about.
    required
        Names of the documents there must be.
    documents
        Name -> what there is.
    compared_with
        The champion it was compared with; None: there was none.
    """

    model_version: str
    bundle_sha256: str
    bundle_made_at: str
    required: Sequence[str]
    documents: Mapping[str, Document] = field(default_factory=dict)
    compared_with: str | None = None

    @property
    def sha256(self) -> str:
        """What an approval is bound to: version, bundle and every document."""
        content = {
            "model_version": self.model_version,
            "bundle": self.bundle_sha256,
            "documents": {name: document.sha256 for name, document in self.documents.items()},
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class Objection(NamedTuple):
    """Why a version may not become champion, and which piece of evidence says so."""

    document: str
    words: str


def evidence_problems(evidence: Evidence, champion: str | None) -> list[Objection]:
    """Say what is missing, stale, or speaks against the version.

    Parameters
    ----------
    evidence
        What there is.
    champion
        The present champion: a comparison with another one proves nothing. None: there is none.
    """
    missing = [name for name in evidence.required if name not in evidence.documents]
    found = [Objection(name, f"its {name} is missing; `creditrisk run` makes it") for name in missing]
    made = datetime.fromisoformat(evidence.bundle_made_at)
    for name, document in evidence.documents.items():
        if datetime.fromisoformat(document.made_at) < made:
            words = f"its {name} of {document.made_at} is older than the bundle of {evidence.bundle_made_at}"
            found.append(Objection(name, words))
        found += [Objection(name, words) for words in document.problems]
    if champion not in {None, evidence.compared_with} and COMPARISON in evidence.documents:
        words = f"it was compared with {evidence.compared_with or 'no champion'}, and the champion is {champion} by now"
        found.append(Objection(COMPARISON, words))
    return found
