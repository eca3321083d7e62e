"""A request for recourse and an answer of its shape; they stand in the OpenAPI document.

What belongs here: invented values. What does not: the shapes (`schemas`).
"""

from typing import Any

from creditrisk_serving.scoring.examples import PREDICTED_EXAMPLE

_DECIDED = PREDICTED_EXAMPLE["decisions"][0]
ASKED: dict[str, Any] = {"decision_id": _DECIDED["decision_id"]}
ASKED_OF_KNOWN: dict[str, Any] = {"applicant_id": _DECIDED["applicant_id"]}
FOUND: dict[str, Any] = {
    "request_id": PREDICTED_EXAMPLE["request_id"],
    **ASKED,
    "decision": "refer",
    "applicant_id": _DECIDED["applicant_id"],
    "families": _DECIDED["families"],
    "model_version": _DECIDED["model_version"],
    "policy_version": _DECIDED["policy_version"],
    "stored": False,
    "pd_now": _DECIDED["pd"],
    "outcome_now": "refer",
    "suggestions": [
        {
            "changes": [
                {
                    "action": "smaller_loan",
                    "text": "Ask for a smaller loan over the same term.",
                    "fields": [
                        {"table": "application", "column": "AMT_CREDIT", "before": 450000.0, "after": 405000.0},
                        {"table": "application", "column": "AMT_ANNUITY", "before": 22500.0, "after": 20300.0},
                    ],
                }
            ],
            "pd": 0.114,
            "outcome": "approve",
            "band": "C",
            "points": 546,
        }
    ],
    "none_because": "",
    "tried": 24,
    "out_of_reach": ["bureau__credits_count"],
    "fixed": ["How earlier loans, cards and instalments were repaid. It changes only with time."],
    "not_tried": ["Repay debts at other lenders before you apply again. What it would change was not sent."],
}
