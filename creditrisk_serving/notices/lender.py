"""What a notice says of the lender: `deploy/notice.yaml`, complete or refused.

What belongs here: the fields, and which of them a jurisdiction needs. What does not: what a notice says of a decision (`letter`).
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Jurisdiction = Literal["us", "eu", "uk"]
Words = Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S")]


class LenderError(RuntimeError):
    """The file cannot be read, or lacks fields; the message names them."""


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Creditor(_Facts):
    """Who lends."""

    name: Words
    address: Words
    contact: Words


class Office(_Facts):
    """An authority or a register."""

    name: Words
    address: Words


class ReportingAgency(Office):
    """A consumer reporting agency."""

    telephone: Words


class Score(_Facts):
    """The range in which points are told."""

    name: Words
    lowest: int
    highest: int

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.lowest >= self.highest:
            raise ValueError("lowest must be below highest")
        return self

    def told(self, points: int) -> int:
        """Return points within the range."""
        return min(max(points, self.lowest), self.highest)


class UnitedStates(_Facts):
    """What ECOA and FCRA ask for."""

    federal_agency: Office
    reporting_agency: ReportingAgency
    score: Score


class HumanReview(_Facts):
    """Where a person decides again."""

    where: Words
    within_days: int = Field(ge=1, le=365)


class Europe(_Facts):
    """What the GDPR asks for."""

    human_review: HumanReview
    supervisory_authority: Office
    credit_register: Office


class Lender(_Facts):
    """Everything a notice says of the lender."""

    jurisdiction: Jurisdiction
    creditor: Creditor
    us: UnitedStates | None = None
    europe: Europe | None = None
    font: Path | None = None


def read_lender(path: Path) -> Lender:
    """Read the file; only the section of its jurisdiction is looked at.

    Raises
    ------
    LenderError
        It cannot be read, or a field of the jurisdiction is missing or wrong.
    """
    import yaml  # noqa: PLC0415 - only whoever issues a notice needs it

    try:
        content = yaml.safe_load(path.read_text("utf-8"))
        jurisdiction = content["jurisdiction"]
        section = {"us": "us"}.get(jurisdiction, "europe")
        facts = {name: content.get(name) for name in ("jurisdiction", "creditor", "font")}
        return Lender.model_validate(facts | {section: content.get(jurisdiction) or {}})
    except OSError as error:
        raise LenderError(
            f"{path} cannot be read ({error.strerror}); set CREDITRISK_SERVING_NOTICE to the lender's file"
        ) from error
    except ValidationError as error:
        named = (".".join(map(str, one["loc"])) for one in error.errors(include_input=False))
        wrong = ", ".join(name.replace("europe", str(jurisdiction), 1) for name in named)
        raise LenderError(
            f"{path}: missing or wrong: {wrong}; no notice is sent with blanks, so fill them in"
        ) from None
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise LenderError(
            f"{path} is no such file: it needs jurisdiction (us, eu or uk), creditor and its section"
        ) from error
