"""Contract reports as asset checks, readable in the UI: rule, column, count, share, sample keys."""

from creditrisk_assets.contracts.check import ContractReport, RuleResult
from creditrisk_assets.defs.artefact import CheckOutcome

CONTRACT = {"contract": "Columns, types, keys, bounds, categories, relations and volume are as the contract declares."}


def contract_outcomes(report: ContractReport) -> tuple[CheckOutcome, ...]:
    """Render a report as the outcome of the `contract` check."""
    failures, warnings = report.failures, report.warnings
    worst = "ERROR" if failures else "WARN"
    words = f"{len(report.results)} rules over {report.rows:,} rows: {len(failures)} broken, {len(warnings)} warnings"
    if failures:
        words += ". " + "; ".join(_sentence(result) for result in failures[:3])
    facts: dict[str, object] = {"description": words, "rules": len(report.results), "rows": report.rows}
    if failures:
        facts["broken"] = [_row(result) for result in failures]
    if warnings:
        facts["warnings"] = [_row(result) for result in warnings]
    return (CheckOutcome("contract", passed=report.passed and not warnings, facts=facts, severity=worst),)


def _sentence(result: RuleResult) -> str:
    where = f" on {result.column}" if result.column else ""
    keys = f" (for example {result.sample_keys[0]})" if result.sample_keys else ""
    return f"{result.rule}{where}: {result.failed:,} rows, {result.share:.2%}{keys}"


def _row(result: RuleResult) -> dict[str, object]:
    row: dict[str, object] = {
        "rule": result.rule,
        "column": result.column or "",
        "count": result.failed,
        "share": result.share,
        "sample_keys": ", ".join(result.sample_keys),
        "meaning": result.description,
        "relaxed": "",
    }
    if result.relaxation is not None:
        row["relaxed"] = f"{result.relaxation.reason} (until {result.relaxation.expires}, {result.relaxation.owner})"
    return row
