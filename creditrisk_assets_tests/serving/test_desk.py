"""The decision desk in a real browser, asking a running service: a person fills in, decides, asks what if, and is told what is wrong."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from creditrisk_assets_tests.serving.browser import CHROMIUM, Page, browser
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.portfolio import FIRST_ID, Portfolio
from creditrisk_assets_tests.serving.test_light import ask, serving
from creditrisk_serving.access import Scope, create_key
from creditrisk_serving.scoring.examples import APPLICATION

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")]


class Desk:
    """The page with a running service behind it."""

    def __init__(self, page: Page, port: int, key: str, home: Path) -> None:
        self.page, self.port, self.key, self.home = page, port, key, home

    def enter(self, fragment: str = "", **look: Any) -> Page:
        self.page.open("about:blank")
        self.page.open(f"http://127.0.0.1:{self.port}/{fragment}", **look)
        self.page.complaints.clear()
        self.page.type("#key", self.key)
        self.page.key("Enter")
        self.page.until("!document.getElementById('desk').hidden")
        return self.page

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        status, reply = ask(self.port, method, path, self.key, None if body is None else json.dumps(body))
        assert status < 300, reply
        return json.loads(reply)

    def decisions(self) -> float:
        """Count the decisions made so far."""
        _, reply = ask(self.port, "GET", "/metrics", self.key)
        return sum(
            float(n) for n in re.findall(r"^creditrisk_decisions_total\{.*\} (\S+)$", reply.decode(), re.MULTILINE)
        )


@pytest.fixture(scope="module")
def desk(template: Published, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    place = tmp_path_factory.mktemp("desk")
    shutil.copytree(template.home, place / "home")
    key = create_key(
        place / "home" / "keys" / "api_keys.json",
        "desk",
        scopes=(Scope.SCORE, Scope.EXPLAIN, Scope.REVIEW, Scope.MONITOR),
    )
    with serving(place / "home") as (_, port, _said), browser(place / "profile") as page:
        yield Desk(page, port, key, place / "home")


def decided(page: Page) -> str:
    """Wait for a decision and return its id."""
    page.until("document.querySelector('.answer:not(.estimate) footer a')")
    return page.text(".answer footer a code")


def percent(pd: float) -> str:
    """Return how the page writes a PD."""
    return f"{pd * 100:.{2 if pd < 0.1 else 1}f} %"


def filled(desk: Desk, **look: Any) -> Page:
    page = desk.enter(**look)
    page.press("#example")
    return page


# Words whose colour is closer to what is behind them than 4.5 to 1 (WCAG AA).
CONTRAST = """(() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => { const [r, g, b] = parts(colour).slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (node) => { for (let e = node; e; e = e.parentElement) { const found = getComputedStyle(e).backgroundColor;
    if (parts(found)[3] !== 0) return found; } return 'rgb(255, 255, 255)'; };
  return [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility() && !e.closest('svg')
    && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())).filter((e) => {
    const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05) < 4.5; }).map((e) => e.outerHTML.slice(0, 200));
})()"""


def test_an_application_is_filled_in_and_decided(desk: Desk) -> None:
    page = filled(desk)
    page.press("#decide")
    stored = desk.ask("GET", f"/decisions/{decided(page)}")
    sent = {name: value for name, value in stored["input"]["application"].items() if value is not None}
    assert sent == APPLICATION
    assert page.text(".verdict h2") == stored["decision"].capitalize()
    shown = dict(zip(page.js("[...document.querySelectorAll('.facts dt')].map(e => e.innerText)"),
                     page.js("[...document.querySelectorAll('.facts dd')].map(e => e.innerText)"), strict=True))  # fmt: skip
    assert shown["PD"] == percent(stored["pd"])
    assert shown["Grade"] == stored["band"]
    assert int(shown["Points"]) > 0
    assert shown["PD"] in page.js("document.querySelector('.plot').getAttribute('aria-label')")
    assert page.complaints == []


def test_what_if_shows_both_sides_and_stores_nothing(desk: Desk) -> None:
    page = filled(desk)
    page.press("#decide")
    before = desk.ask("GET", f"/decisions/{decided(page)}")
    made = desk.decisions()
    page.type("#field-EXT_SOURCE_2", "0.05")
    assert "decided with 0.612" in page.text("#field-EXT_SOURCE_2-note")
    page.press("#what-if")
    page.until("document.querySelector('.estimate')")
    assert desk.decisions() == made
    changed = APPLICATION | {"EXT_SOURCE_2": 0.05}
    (estimate,) = desk.ask("POST", "/what-if", {"applications": [changed]})["estimates"]
    sides = page.js("[...document.querySelectorAll('.sides dd')].map(e => e.innerText)")
    assert (sides[0], sides[3]) == (percent(before["pd"]), percent(estimate["pd"]))
    assert page.js("[...document.querySelectorAll('tbody td')].map(e => e.innerText)") == ["0.612", "0.05"]
    assert "nothing was stored" in page.text(".estimate")
    assert page.js("document.querySelector('.estimate footer')") is None


def test_errors_are_shown_at_the_field_they_name(desk: Desk) -> None:
    page = filled(desk)
    page.press("#decide")
    decided(page)
    page.type("#field-AMT_CREDIT", "-5")
    page.js("document.getElementById('field-AMT_ANNUITY').value = 'much'")
    page.press("#decide")
    page.until("!document.getElementById('summary').hidden")
    assert page.text("#field-AMT_CREDIT-error") == "must be at least 0.0"
    assert "wrong type" in page.text("#field-AMT_ANNUITY-error")
    assert page.js("document.getElementById('field-AMT_CREDIT').getAttribute('aria-invalid')") == "true"
    assert page.js("document.activeElement.id") == "summary"
    page.press("#summary a")
    assert page.js("document.activeElement.id") in {"field-AMT_CREDIT", "field-AMT_ANNUITY"}
    assert page.js("document.querySelector('.answer')") is None


def test_a_column_left_out_is_shown_in_a_group_that_was_closed(desk: Desk) -> None:
    page = filled(desk)
    page.choose("#field-REGION_RATING_CLIENT", "")
    page.press("#decide")
    page.until("!document.getElementById('summary').hidden")
    assert "required" in page.text("#field-REGION_RATING_CLIENT-error")


def test_a_wrong_key_is_told_at_the_key(desk: Desk) -> None:
    page = desk.page
    page.open("about:blank")
    page.open(f"http://127.0.0.1:{desk.port}/")
    page.type("#key", "crk_wrong")
    page.key("Enter")
    page.until("document.getElementById('key-error').innerText")
    assert "API key" in page.text("#key-error")
    assert page.js("document.getElementById('desk').hidden")


def test_the_key_is_nowhere_but_in_memory(desk: Desk) -> None:
    page = desk.enter()
    kept = page.js("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])")
    assert desk.key not in kept
    assert page.js("document.getElementById('key').value") == ""
    page.press("#leave")
    page.until("document.readyState === 'complete' && !document.getElementById('door').hidden")
    assert page.js("document.getElementById('desk').hidden")


def test_a_known_applicant_and_an_unknown_one(desk: Desk) -> None:
    page = desk.enter()
    page.type("#known", str(FIRST_ID))
    page.key("Enter")
    record = desk.ask("GET", f"/decisions/{decided(page)}")
    assert record["applicant_id"] == FIRST_ID
    assert "looked up" in page.text(".states")
    page.type("#known", "999999")
    page.key("Enter")
    page.until("document.getElementById('known-error').innerText")
    assert "no published features" in page.text("#known-error")


def test_a_stored_decision_is_opened_by_its_link_and_fills_the_form(desk: Desk) -> None:
    sent = APPLICATION | {"AMT_CREDIT": 123456.0}
    (made,) = desk.ask("POST", "/predict", {"applications": [sent]})["decisions"]
    page = desk.enter(f"#decision={made['decision_id']}")
    assert decided(page) == made["decision_id"]
    assert page.js("document.getElementById('field-AMT_CREDIT').value") == "123456"
    page.type("#stored", "nonsense")
    page.key("Enter")
    page.until("document.getElementById('stored-error').innerText")
    assert "no decision has this id" in page.text("#stored-error")


def test_a_referral_is_reviewed(desk: Desk, portfolio: Portfolio) -> None:
    decisions = desk.ask("POST", "/predict", {"applicant_ids": portfolio.applicants})["decisions"]
    decision = next(one["decision_id"] for one in decisions if one["decision"] == "refer")
    page = desk.enter(f"#decision={decision}")
    decided(page)
    page.press("#review-form button")
    page.until("[...document.querySelectorAll('#review-form .error')].some(e => e.innerText)")
    page.type("#review-reviewer", "A. Person")
    page.choose("#review-outcome", "approve")
    page.type("#review-reason", "<b>Payslips</b> & more")
    page.press("#review-form button")
    page.until("document.querySelector('.reviews')")
    (review,) = desk.ask("GET", f"/decisions/{decision}")["reviews"]
    assert (review["reviewer"], review["outcome"]) == ("A. Person", "approve")
    assert "<b>Payslips</b> & more" in page.text(".reviews")
    assert page.js("document.querySelector('.reviews b')") is None


def test_a_hard_rule_that_decided_is_told_with_its_reason(desk: Desk, portfolio: Portfolio) -> None:
    decisions = desk.ask("POST", "/predict", {"applicant_ids": portfolio.applicants})["decisions"]
    one = next(one for one in decisions if one["rule"] == "annuity_above_income")
    page = desk.enter(f"#decision={one['decision_id']}")
    decided(page)
    assert "Hard rule: annuity above income. the loan would take more than the whole income" in page.text(
        ".answer .notice"
    )


def test_what_could_change_a_decision_is_shown_and_decides_nothing(desk: Desk, portfolio: Portfolio) -> None:
    loan = {"AMT_CREDIT": 120_000.0, "AMT_ANNUITY": 6_000.0}
    rows = [{**portfolio.application(one), **loan} for one in portfolio.applicants[:24]]
    decisions = desk.ask("POST", "/predict", {"applications": rows})["decisions"]
    found = [
        desk.ask("POST", "/recourse", {"decision_id": one["decision_id"]})
        for one in decisions
        if one["decision"] != "approve"
    ]
    looked_up = desk.ask("POST", "/predict", {"applicant_ids": portfolio.applicants})["decisions"]
    made = desk.decisions()
    for answer in (
        next(one for one in found if one["suggestions"]),
        next(one for one in found if not one["suggestions"]),
    ):
        page = desk.enter(f"#decision={answer['decision_id']}")
        decided(page)
        page.press("#recourse")
        page.until("document.querySelector('.recourse')")
        assert page.js("document.querySelectorAll('.suggestions > li').length") == len(answer["suggestions"])
        told = page.text(".recourse")
        assert "Nothing was decided, nothing was stored." in told
        assert all(words in told for words in answer["fixed"])
        for one in answer["suggestions"]:
            assert f"with a PD of {percent(one['pd'])}" in told
            for field in (field for change in one["changes"] for field in change["fields"]):
                assert f"{field['before']:,.0f}" in told
                assert f"{field['after']:,.0f}" in told
        assert answer["none_because"] in told
        assert page.js("document.getElementById('recourse')") is None
        assert page.complaints == []
    approved = next(one["decision_id"] for one in looked_up if one["decision"] == "approve")
    page = desk.enter(f"#decision={approved}")
    decided(page)
    assert page.js("document.getElementById('recourse')") is None
    assert desk.decisions() == made


def test_what_could_change_the_decision_on_a_known_applicant_is_shown_with_what_it_rests_on(
    desk: Desk, portfolio: Portfolio
) -> None:
    decisions = desk.ask("POST", "/predict", {"applicant_ids": portfolio.applicants})["decisions"]
    one = next(one for one in decisions if one["decision"] != "approve")
    page = desk.enter(f"#decision={one['decision_id']}", width=400, height=800, narrow=True)
    decided(page)
    page.press("#recourse")
    page.until("document.querySelector('.recourse')")
    assert "looked up" in page.text(".recourse .states")
    assert page.js("document.documentElement.scrollWidth") <= 400
    assert page.js(CONTRAST) == []


def test_decide_pressed_again_after_a_lost_answer_makes_no_second_decision(desk: Desk) -> None:
    page = filled(desk)
    page.js(
        "(() => {const real = window.fetch; window.sent = []; window.fetch = async (path, given) => {"
        " const reply = await real(path, given); if (path === '/predict') {window.sent.push(given.headers['Idempotency-Key']);"
        " if (window.sent.length === 1) throw new TypeError('lost');} return reply;};})()"
    )
    made = desk.decisions()
    page.press("#decide")
    page.until("!document.getElementById('failure').hidden")
    assert "does not answer" in page.text("#failure")
    page.press("#decide")
    decided(page)
    assert desk.decisions() == made + 1
    page.press("#decide")
    page.until("window.sent.length === 3 && !document.querySelector('[aria-busy]')")
    first, second, third = page.js("window.sent")
    assert first == second != third
    assert desk.decisions() == made + 2


def test_reasons_and_contributions_are_shown_when_the_answer_holds_them_and_are_never_markup(desk: Desk) -> None:
    page = desk.enter()
    told = [
        {"code": "RULE-A", "text": "A <b>rule</b>", "group": "a"},
        {"code": "BUR-1", "text": "Debt – higher", "group": "b", "contribution": 0.5, "value": "1,200"},
    ]
    found = [{"feature": "<i>bureau__x</i>", "contribution": 0.5}, {"feature": "application__y", "contribution": -0.25}]
    one = {
        "decision_id": "a",
        "decision": "decline",
        "pd": 0.5,
        "band": "E",
        "families": {},
        "contributions": found,
        "reasons": told,
    }
    page.js(
        "Promise.all([import('/desk/answer.js'), fetch('/metadata', {headers: {'X-API-Key': '" + desk.key + "'}})])"
        f".then(async ([made, reply]) => document.body.append(made.decision({json.dumps(one)}, (await reply.json()).policy)))"
    )
    lines = page.js("[...document.querySelectorAll('.reasons li')].map(e => e.innerText.split(/\\s+/).join(' '))")
    assert lines == ["A <b>rule</b> A hard rule of the policy RULE-A", "Debt – higher (1,200) BUR-1"]
    assert page.js("[...document.querySelectorAll('.reasons meter')].map(e => e.value / e.max)") == [1]
    assert page.js("document.querySelector('.reasons b')") is None
    page.js("document.querySelector('details:has(.contributions)').open = true")
    rows = page.js("[...document.querySelectorAll('.contributions li')].map(e => e.innerText.split(/\\s+/).join(' '))")
    assert rows == ["<i>bureau__x</i> ▲ raises (0.500)", "application__y ▼ lowers (-0.250)"]
    assert page.js("document.querySelector('.contributions i')") is None


def test_every_field_has_a_label_a_group_and_the_dictionary_s_words(desk: Desk) -> None:
    page = desk.enter()
    schema = desk.ask("GET", "/schema")
    columns = schema["$defs"]["application"]["properties"]
    shown = page.js(
        "Object.fromEntries([...document.querySelectorAll('#groups [name]')].map(e => [e.name, e.labels[0].textContent]))"
    )
    assert set(shown) == set(columns)
    assert all(shown.values())
    assert shown["AMT_CREDIT"] == "Amount of the loan asked for"
    groups = page.js("[...document.querySelectorAll('summary span:first-of-type')].map(e => e.innerText)")
    assert "Other columns" not in groups
    unlabelled = "[...document.querySelectorAll('input,select,textarea')].filter(e => !e.labels.length).length"
    assert page.js(unlabelled) == 0


@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_narrow_window_and_can_be_read(desk: Desk, dark: bool) -> None:
    page = filled(desk, width=400, height=800, dark=dark, narrow=True)
    page.press("#decide")
    decided(page)
    page.press("#what-if")
    page.until("document.querySelector('.estimate')")
    assert page.js("document.documentElement.scrollWidth") <= 400
    assert page.js(CONTRAST) == []


def test_the_keyboard_is_enough(desk: Desk) -> None:
    page = filled(desk)
    page.js("document.getElementById('decide').focus()")
    page.key("Enter")
    decided(page)
    page.js("document.getElementById('field-AMT_CREDIT').focus()")
    page.key("Enter")  # deciding takes a press of its button
    page.key("Tab")
    assert page.js("document.activeElement.id") == "field-AMT_ANNUITY"
