"""Contract reports as asset checks, readable in the UI: rule, column, count, share, sample keys."""

import hashlib
from collections.abc import Mapping

from creditrisk_assets.contracts import relaxations
from creditrisk_assets.contracts.report import ContractReport, RuleResult
from creditrisk_assets.contracts.table import TableContract
from creditrisk_assets.defs.artefact import CheckOutcome
from creditrisk_assets.settings import Settings

CONTRACT = {"contract": "Columns, types, keys, bounds, categories, relations and volume are as the contract declares."}


def relaxed(settings: Settings, contract: TableContract) -> Mapping[str, str]:
    """Fingerprint the relaxations in force for a table, so that one that begins or expires is felt at the next run."""
    active = relaxations.load(settings.relaxations).active(contract)
    if not active:
        return {}
    return {"relaxations": hashlib.sha256("".join(entry.model_dump_json() for entry in active).encode()).hexdigest()}


def contract_outcomes(report: ContractReport) -> tuple[CheckOutcome, ...]:
    """Render a report as the outcome of the `contract` check; a broken rule that only warns is shown as a warning."""
    failures, warnings, undecided = report.failures, report.warnings, report.not_applicable
    words = f"{report.checked} rules over {report.rows:,} rows: {len(failures)} broken, {len(warnings)} warnings"
    if failures or warnings:
        words += f". {report.summary(limit=3)}"
    facts: dict[str, object] = {"description": words, "rules": report.checked, "rows": report.rows}
    for name, results in (("broken", failures), ("warnings", warnings)):
        if results:
            facts[name] = [_row(result) for result in results]
    if undecided:
        facts["not_applicable"] = [f"{result.rule} {result.column or ''}: {result.observed}" for result in undecided]
    severity = "WARN" if warnings and not failures else "ERROR"
    return (CheckOutcome("contract", passed=not failures and not warnings, facts=facts, severity=severity),)


def _row(result: RuleResult) -> dict[str, object]:
    relaxed_by = ""
    if result.relaxation is not None:
        relaxed_by = f"{result.relaxation.reason} (until {result.relaxation.expires}, {result.relaxation.owner})"
    return {
        "rule": result.rule,
        "column": result.column or "",
        "count": result.failed,
        "share": result.share,
        "sample_keys": ", ".join(result.sample_keys),
        "meaning": result.description,
        "relaxed": relaxed_by,
    }
