"""Taking an approval: its signature is verified against the approver's public key, then it waits for the registry.

What belongs here: what is refused and why. What does not: the ledger (`creditrisk_assets.registry.ledger`), whether an approval counts,
which needs the evidence and is the registry's to say. No private key is here, and nothing here makes an approval count.
"""

from datetime import UTC, datetime

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from creditrisk_assets.modelling.bundle import BundleError
from creditrisk_assets.registry.approvals import Approval, ApprovalError, approvers, read_approval
from creditrisk_assets.registry.ledger import Ledger, LedgerError
from creditrisk_assets.schema_version import SchemaError
from creditrisk_serving.access import Caller
from creditrisk_serving.approvals.schemas import ApprovalRequest, ApprovalTaken
from creditrisk_serving.errors import ApprovalsUnavailableError, InvalidApprovalError, MalformedBodyError
from creditrisk_serving.settings import ServingSettings
from creditrisk_serving.trust import trusted_signers


def take_approval(settings: ServingSettings, body: bytes, request_id: str, caller: Caller) -> ApprovalTaken:
    """Verify an approval and leave it for the registry.

    Raises
    ------
    ServiceError
        The body is no approval, it is not signed by a known approver, has expired or is of no registered version; or the ledger is not
        to be had here.
    """
    token = _parse(body)
    if settings.approvals_database is None:
        raise ApprovalsUnavailableError(
            "this service knows no ledger, so it cannot tell whose key signed; set CREDITRISK_SERVING_APPROVALS_DATABASE, or use"
            " `creditrisk approve`"
        )
    try:
        signers = trusted_signers(settings)
        checkpoints = settings.platform.registry_checkpoints_file  # not read here: they are the registry's
        with Ledger(settings.approvals_database, checkpoints, signers) as ledger:
            approval = _verified(ledger, token)
            taken = ledger.leave(token, caller.key_id)
    except (SQLAlchemyError, OSError, SchemaError, LedgerError, BundleError) as error:
        raise ApprovalsUnavailableError("the registry's ledger cannot be read or written; try again later") from error
    return ApprovalTaken(
        request_id=request_id, model_version=approval.model_version, evidence=approval.evidence, decision=approval.decision,
        identity=approval.identity, expires_at=approval.expires_at, taken=taken,
    )  # fmt: skip


def _verified(ledger: Ledger, token: str) -> Approval:
    if not ledger.whole():
        raise ApprovalsUnavailableError(
            "the registry's ledger is not as it was written, so nobody's key is known; see `creditrisk ledger --verify`"
        )
    entries = ledger.entries()
    try:
        approval = read_approval(token, approvers(entries))
    except ApprovalError as error:
        raise InvalidApprovalError(str(error)) from None
    if approval.expired(datetime.now(UTC)):
        raise InvalidApprovalError(f"the approval expired on {approval.expires_at}; approve again")
    registered = {entry.event.model_version for entry in entries if entry.event.kind == "registration"}
    if approval.model_version not in registered:
        raise InvalidApprovalError(
            "the approval is of a version that was never registered here; see `creditrisk status`"
        )
    return approval


def _parse(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=ApprovalRequest).token
    except msgspec.ValidationError:  # its words may quote what was sent
        raise InvalidApprovalError(
            "an approval has a `token`, as `creditrisk approve --token` prints it, and nothing else"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise MalformedBodyError("the body is not JSON") from None
