"""Notices of adverse action: complete or refused, issued once, chained and sealed, due in 30 days."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets_tests.serving.client import LENDER, Client
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.portfolio import Portfolio
from creditrisk_assets_tests.serving.records import record
from creditrisk_assets_tests.serving.test_journal import started
from creditrisk_assets_tests.serving.test_verification import change, verify
from creditrisk_serving.decisions.log import DecisionLog
from creditrisk_serving.decisions.schemas import DecisionRecord, Erasure, NoticeRecord, Reason, Review
from creditrisk_serving.errors import ServiceError
from creditrisk_serving.notices.commands import app
from creditrisk_serving.notices.lender import Lender, LenderError, read_lender
from creditrisk_serving.notices.letter import LetterError, due_by, letter, render
from creditrisk_serving.notices.pdf import FontError, render_pdf
from creditrisk_serving.notices.service import due, issue

FACTS: dict[str, Any] = yaml.safe_load(LENDER.read_text())
REASONS = [
    Reason("RULE-A", "The instalment exceeds the income.", "a", None, None),
    Reason("B1", "Late instalments: higher than for applicants just approved.", "b", 0.4, "0.3"),
]
NOW = datetime(2026, 12, 2, 9, tzinfo=UTC)


def declined(**given: Any) -> DecisionRecord:
    return record(**{"decision": "decline", "pd": 0.41, "reasons": REASONS} | given)


def lender(jurisdiction: str = "us", **changed: Any) -> Lender:
    section = "us" if jurisdiction == "us" else "europe"
    facts = {"jurisdiction": jurisdiction, "creditor": FACTS["creditor"], section: FACTS[jurisdiction]}
    return Lender.model_validate(facts | changed)


def page(one: DecisionRecord, jurisdiction: str = "us", review: Review | None = None) -> str:
    return render(letter(one, review, lender(jurisdiction), load_policy(), NOW))


def reviewed(outcome: str, reason: str = "Income cannot be proven.", at: str = "2026-12-01T08:00:00+00:00") -> Review:
    given = {"decision_id": "d", "review_id": at, "request_id": "r", "reviewed_at": at, "caller": "k", "reviewer": "A"}
    return Review(**given, outcome=outcome, reason=reason)  # type: ignore[arg-type]


def test_a_notice_in_the_us_says_what_ecoa_and_fcra_ask_for() -> None:
    found = page(declined())
    for words in (
        "Example Credit Union", "1 Main Street", "is declined", "30 November 2026", "2 December 2026",
        "The instalment exceeds the income.", "Late instalments: higher",
        "The federal Equal Credit Opportunity Act prohibits creditors", "Office &lt;of&gt; Credit &amp; Co",
        "Reporting, Inc.", "PO Box 1", "1-800-555-0199", "played no part in our decision", "free copy of your report",
        "no later than 60 days", "dispute the matter",
        "Application score: <b>498</b>", "from a low of 300 to a high of 850", "Key factors",
    ):  # fmt: skip
        assert words in found, words
    assert found.count("Late instalments: higher") == 2  # a principal reason, and a factor of the score
    assert found.count("The instalment exceeds the income.") == 1  # a rule is no factor of a score


@pytest.mark.parametrize(("jurisdiction", "law"), [("eu", "GDPR (Article 22(3))"), ("uk", "UK GDPR (Article 22C)")])
def test_a_notice_in_europe_says_how_it_was_decided_and_where_a_person_decides_again(
    jurisdiction: str, law: str
) -> None:
    found = page(declined(), jurisdiction)
    for words in (law, "made automatically, without a person", "41.0 %", "below 12.0 %", "from 30.0 %", "review@example.eu",
                  "within 14 days", "Register", "Office &lt;of&gt;", "Late instalments: higher"):  # fmt: skip
        assert words in found, words
    assert "a person at Example Credit Union looked at" in page(
        declined(decision="refer"), jurisdiction, reviewed("decline")
    )


def test_an_agency_is_named_unless_it_is_known_that_nothing_came_from_one() -> None:
    nothing = {"families": {"bureau": "no_history"}, "input": {"application": {"AMT_CREDIT": 1.0}, "histories": {}}}
    assert "Reporting, Inc." not in page(declined(**nothing))
    assert "consumer report" not in page(declined(**nothing))
    nothing["input"]["application"]["EXT_SOURCE_2"] = 0.5
    assert "Reporting, Inc." in page(declined(**nothing))
    assert "Reporting, Inc." in page(
        declined(families={"bureau": "no_history"}, input={"application": None, "histories": {}})
    )


def test_points_beyond_the_range_that_is_told_are_told_as_its_end() -> None:
    assert "<b>300</b>" in render(letter(declined(pd=1 - 1e-9), None, lender(), load_policy(), NOW))


def test_a_referral_is_told_the_reviewers_reasons_and_no_others() -> None:
    one = declined(decision="refer", reasons=[REASONS[0]])
    found = page(one, review=reviewed("decline", "Income cannot be proven.\n\n Employer not found. "))
    assert "<li>Income cannot be proven.</li>" in found
    assert "<li>Employer not found.</li>" in found
    assert "The instalment exceeds" not in found
    with pytest.raises(LetterError, match="5 lines"):
        page(one, review=reviewed("decline", "a\nb\nc\nd\ne"))


@pytest.mark.parametrize("reasons", [None, [], [Reason("x", "  ", "g", 0.1, None)]])
def test_without_a_reason_there_is_no_notice(reasons: Any) -> None:
    with pytest.raises(LetterError, match="no reason of it is stored"):
        page(declined(reasons=reasons))


def test_the_clock_is_of_the_application_and_thirty_days_long() -> None:
    assert due_by(declined()) == date(2026, 12, 30)


@pytest.mark.parametrize(
    ("jurisdiction", "gone", "named"),
    [
        ("us", ("creditor", "address"), "creditor.address"),
        ("us", ("us", "federal_agency"), "us.federal_agency"),
        ("us", ("us", "reporting_agency", "telephone"), "us.reporting_agency.telephone"),
        ("us", ("us", "score", "highest"), "us.score.highest"),
        ("eu", ("eu", "human_review", "where"), "eu.human_review.where"),
        ("uk", ("uk",), "uk.human_review"),
    ],
)
def test_a_missing_field_is_refused_by_its_name(
    tmp_path: Path, jurisdiction: str, gone: tuple[str, ...], named: str
) -> None:
    facts = json.loads(json.dumps({**FACTS, "jurisdiction": jurisdiction}))
    path = tmp_path / "notice.yaml"
    path.write_text(yaml.safe_dump(facts))
    assert read_lender(path).jurisdiction == jurisdiction
    for blank in (None, ""):
        node = facts
        for name in gone[:-1]:
            node = node[name]
        node[gone[-1]] = blank
        path.write_text(yaml.safe_dump(facts))
        with pytest.raises(LenderError, match=named.replace(".", r"\.")):
            read_lender(path)


def test_a_file_that_is_none_is_refused_and_the_shipped_one_names_what_to_fill_in(tmp_path: Path) -> None:
    with pytest.raises(LenderError, match="CREDITRISK_SERVING_NOTICE"):
        read_lender(tmp_path / "none.yaml")
    for content in ("- x", "jurisdiction: mars", "{", "", "creditor: {}"):
        (tmp_path / "notice.yaml").write_text(content)
        with pytest.raises(LenderError):
            read_lender(tmp_path / "notice.yaml")
    with pytest.raises(LenderError, match=r"creditor\.name, .*us\.reporting_agency\.telephone"):
        read_lender(Path("deploy/notice.yaml"))


def test_the_pdf_is_made_of_the_page_and_twice_the_same() -> None:
    found = page(declined())
    first = render_pdf(found, NOW.isoformat(), None)
    assert first.startswith(b"%PDF-")
    assert first == render_pdf(found, NOW.isoformat(), None)
    assert first != render_pdf(found.replace("1 Main Street", "2 Main Street"), NOW.isoformat(), None)


def test_letters_the_font_lacks_are_refused_rather_than_left_out(tmp_path: Path) -> None:
    found = page(declined()).replace("1 Main Street", "Česká 1")
    with pytest.raises(FontError, match="TrueType"):
        render_pdf(found, NOW.isoformat(), None)
    with pytest.raises(FontError, match="TrueType"):
        render_pdf(found, NOW.isoformat(), tmp_path / "none.ttf")


def test_the_service_starts_without_what_renders_notices() -> None:
    probe = "import sys, creditrisk_serving.app; print({'fpdf', 'jinja2', 'PIL'} & sys.modules.keys())"
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_a_notice_is_sealed_in_the_chain_and_gone_with_its_applicant(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'decisions.db'}"
    with started(tmp_path) as log:
        one = declined()
        log.store([one])
        made = notice_of(one)
        log.issue(made)
        assert log.notices(one.decision_id) == [made]
        assert log.flush()
        assert log.notices(one.decision_id) == [made]
        with log.database.begin() as connection:
            stored = connection.exec_driver_sql("select document from notices").scalar_one()
        assert "SECRET" not in stored
        log.database.erase(one.applicant_id)
        assert [found.document for found in log.notices(one.decision_id)] == [None]
    assert verify(url, tmp_path / "none").findings == []
    change(url, "update notices set due_by = '2030-01-01'")
    assert [finding.kind for finding in verify(url, tmp_path / "none").findings] == ["changed"]


def notice_of(one: DecisionRecord) -> NoticeRecord:
    return NoticeRecord(
        decision_id=one.decision_id, notice_id=f"n{one.decision_id[:31]}", applicant_id=one.applicant_id, request_id="r",
        issued_at="2026-12-02T00:00:00+00:00", due_by="2026-12-30", caller="k", jurisdiction="us", document_sha256="0" * 64,
        document="SECRET",
    )  # fmt: skip


def test_what_is_due_are_declines_that_nobody_told(tmp_path: Path) -> None:
    with started(tmp_path) as log:
        ones = {
            name: declined(applicant_id=place, decision=decision, decided_at=f"2026-11-{30 - place:02d}T08:00:00+00:00")
            for place, (name, decision) in enumerate(
                [
                    ("declined", "decline"),
                    ("told", "decline"),
                    ("approved", "approve"),
                    ("open", "refer"),
                    ("review declined", "refer"),
                    ("review overruled", "refer"),
                    ("erased", "decline"),
                ],
                1,
            )
        }
        log.store(list(ones.values()))
        log.issue(notice_of(ones["told"]))
        for name, outcomes in (
            ("review declined", ("approve", "decline")),
            ("review overruled", ("decline", "approve")),
        ):
            for place, outcome in enumerate(outcomes):
                given = reviewed(outcome, at=f"2026-12-0{place + 1}T08:00:00+00:00")
                log.review(replace(given, ones[name].decision_id, f"{name}{place}"))
        log.erased(Erasure(erasure_id="e", applicant_id=7, erased_at="2026-12-01", decisions=1, reason="asked"))
        assert log.flush()
        found = due(log, date(2026, 12, 26))
    assert [(one.decision_id, one.days_left) for one in found] == [
        (ones["review declined"].decision_id, -1),
        (ones["declined"].decision_id, 3),
    ]


def replace(review: Review, decision_id: str, review_id: str) -> Review:
    import msgspec

    return msgspec.structs.replace(review, decision_id=decision_id, review_id=review_id)


@pytest.fixture
def decisions(client: Client, portfolio: Portfolio) -> Callable[[str], str]:
    found = client.post("/predict", {"applicant_ids": portfolio.applicants}).json()["decisions"]
    return lambda outcome: next(one["decision_id"] for one in found if one["decision"] == outcome)


def test_a_notice_is_issued_once_and_read_in_three_forms(client: Client, decisions: Callable[[str], str]) -> None:
    path = f"/decisions/{decisions('decline')}/notice"
    assert (client.get(path).status, client.get(path).json()["type"]) == (
        404,
        "urn:creditrisk:problem:notice-not-found",
    )
    first = client.post(path, b"")
    assert first.status == 201, first.body
    told = first.json()
    assert told["document_sha256"] == hashlib.sha256(told["document"].encode()).hexdigest()
    stored = client.get(f"/decisions/{told['decision_id']}").json()
    assert 1 <= told["document"].split("Key factors")[0].count("<li>") == len(stored["reasons"]) <= 4
    assert stored["reasons"][0]["text"].split(":")[0] in told["document"].replace("&#39;", "'")
    assert client.post(path, b"").json() == told == client.get(path).json()
    as_page, as_pdf = client.get(path, accept="text/html"), client.get(path, accept="application/pdf")
    assert as_page.body.decode() == told["document"]
    assert as_pdf.body.startswith(b"%PDF-")
    assert "default-src 'none'" in as_page.headers["content-security-policy"]


def test_what_gets_no_notice_is_refused_with_the_reason(client: Client, decisions: Callable[[str], str]) -> None:
    def refused(decision_id: str) -> str:
        reply = client.post(f"/decisions/{decision_id}/notice", b"")
        assert (reply.status, reply.json()["type"]) == (409, "urn:creditrisk:problem:notice-refused")
        return str(reply.json()["detail"])

    assert "it is approved" in refused(decisions("approve"))
    referral = decisions("refer")
    assert "has not decided" in refused(referral)
    review = {"reviewer": "A", "outcome": "approve", "reason": "Payslips seen."}
    client.post(f"/decisions/{referral}/review", review)
    assert "a person approved" in refused(referral)
    client.post(f"/decisions/{referral}/review", {**review, "outcome": "decline", "reason": "Employer not found."})
    assert "Employer not found." in client.post(f"/decisions/{referral}/notice", b"").json()["document"]
    assert client.post(f"/decisions/{'0' * 32}/notice", b"").status == 404


def test_of_an_erased_applicant_no_notice_is_issued_nor_read(
    client: Client, decisions: Callable[[str], str], portfolio: Portfolio
) -> None:
    one = decisions("decline")
    applicant = client.get(f"/decisions/{one}").json()["applicant_id"]
    assert client.service.log.flush()
    path = f"/decisions/{one}/notice"
    other = client.post("/predict", {"applicant_ids": [applicant]}).json()["decisions"][0]["decision_id"]
    assert client.post(path, b"").status == 201
    assert client.service.log.flush()
    client.service.log.database.erase(applicant)
    for reply in (client.get(path), client.post(path, b""), client.post(f"/decisions/{other}/notice", b"")):
        assert (reply.status, "erased" in reply.json()["detail"]) == (409, True)


def test_the_policy_told_is_the_one_that_decided_or_none(
    client: Client, decisions: Callable[[str], str], published: Published
) -> None:
    one = decisions("decline")
    bundle = published.home / "bundles" / published.champion
    policy = bundle / "policy.json"
    content = policy.read_text()
    for spoil, words in (
        (lambda: policy.write_text(content + " "), "is not the one that decided"),
        (policy.unlink, "not there"),
    ):
        spoil()
        with pytest.raises(ServiceError, match=words):
            issue(client.service.log, client.settings, one, request_id="r", caller="k")


def test_the_commands_write_a_notice_and_list_what_is_due(
    published: Published, portfolio: Portfolio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with Client(published.home) as client:
        found = client.post("/predict", {"applicant_ids": portfolio.applicants}).json()["decisions"]
    mine = [one["decision_id"] for one in found if one["decision"] == "decline"]
    monkeypatch.setenv("CREDITRISK_HOME", str(published.home))
    monkeypatch.setenv("CREDITRISK_SERVING_NOTICE", str(LENDER))
    run = CliRunner()
    listed = json.loads(run.invoke(app, ["notices", "due", "--json"]).output)
    assert sorted(one["decision_id"] for one in listed) == sorted(mine)
    assert {one["days_left"] for one in listed} == {30}
    for suffix in (".html", ".pdf"):
        done = run.invoke(app, ["notice", mine[0], "--out", str(tmp_path / f"notice{suffix}")])
        assert (done.exit_code, mine[0] in done.output or "due by" in done.output) == (0, True)
    assert (tmp_path / "notice.pdf").read_bytes().startswith(b"%PDF-")
    assert f"{len(mine) - 1} notices are due" in run.invoke(app, ["notices", "due"]).output
    assert "written as .html or .pdf" in str(run.invoke(app, ["notice", mine[0], "--out", "x.doc"]).exception)
    approved = next(one["decision_id"] for one in found if one["decision"] == "approve")
    refused = run.invoke(app, ["notice", approved, "--out", str(tmp_path / "no.html")])
    assert isinstance(refused.exception, RuntimeError)
    assert "it is approved" in str(refused.exception)
    assert not (tmp_path / "no.html").exists()


def test_a_log_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "decisions.db").write_text("this is no database, " * 50)
    log = DecisionLog(f"sqlite:///{tmp_path / 'decisions.db'}", tmp_path / "journal")
    with pytest.raises(ServiceError, match="cannot be read"):
        due(log, date(2026, 12, 1))
    with pytest.raises(ServiceError, match="cannot be read"):
        log.notices("d")
    log.close()
