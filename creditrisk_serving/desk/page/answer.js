// What was answered, for a person. What belongs here: decisions, estimates and reviews as elements. What does not: asking for them.

import { make } from "./elements.js";
import { plot } from "./plot.js";

const WORDS = {
  approve: ["✓", "Approve", "The policy approves this application."],
  refer: ["?", "Refer", "A person decides this application."],
  decline: ["✕", "Decline", "The policy declines this application."],
};
const STATES = {
  sent: "from what was sent",
  present: "looked up",
  no_history: "no history",
  stale: "looked up, but stale",
};

export const percent = (share, digits = share < 0.1 ? 2 : 1) => `${(share * 100).toFixed(digits)} %`;

const plain = (name) => name.replaceAll("_", " ");

function facts(rows) {
  return make("dl", { class: "facts" }, rows.filter(([, value]) => value !== null && value !== undefined)
    .map(([name, value, explained]) => make("div", {}, make("dt", {}, name), make("dd", {}, String(value)),
      explained ? make("p", { class: "hint" }, explained) : null)));
}

function verdict(outcome, kicker, level = "h2") {
  const [symbol, word, sentence] = WORDS[outcome] || ["•", outcome, ""];
  return make("div", { class: `verdict ${outcome}` }, make("span", { class: "symbol", "aria-hidden": "true" }, symbol),
    make("div", {}, make("p", { class: "kicker" }, kicker), make(level, {}, word), make("p", {}, sentence)));
}

function ruled(name, policy) {
  if (!name) return null;
  const rule = (policy.eligibility || []).find((one) => one.name === name);
  return make("p", { class: "notice" }, make("strong", {}, `Hard rule: ${plain(name)}. `),
    rule ? `${rule.reason}.` : "It decided, whatever the PD.");
}

function families(states) {
  return make("section", {}, make("h3", {}, "What it rests on"), make("ul", { class: "states" },
    Object.entries(states).map(([family, state]) => make("li", { class: state },
      make("span", {}, plain(family)), make("span", { class: "quiet" }, STATES[state] || state)))));
}

function outside(features) {
  if (!features || !features.length) return null;
  return make("section", { class: "notice" }, make("h3", {}, "Beyond what the training saw"),
    make("p", {}, "The PD is less certain where the model saw nobody like this:"),
    make("ul", {}, features.map((feature) => make("li", {}, make("code", {}, feature)))));
}

function reasons(found) {
  if (!found || !found.length) return null;
  const most = Math.max(...found.map((one) => one.contribution || 0)) || 1;
  return make("section", {}, make("h3", {}, "Principal reasons"), make("ol", { class: "reasons" }, found.map((one) => make("li", {},
    make("p", {}, one.text, one.value ? make("strong", {}, ` (${one.value})`) : null),
    one.contribution === undefined ? make("p", { class: "quiet" }, "A hard rule of the policy")
      : make("meter", { min: 0, max: most, value: one.contribution, "aria-hidden": "true" }),
    make("code", { class: "quiet" }, one.code)))));
}

function contributions(found) {
  if (!found || !found.length) return null;
  const most = Math.max(...found.map((one) => Math.abs(one.contribution))) || 1;
  const title = make("summary", {}, make("span", {}, "What moved the PD, feature by feature"));
  return make("details", {}, title, make("ul", { class: "contributions" }, found.map((one) => {
    const raises = one.contribution > 0;
    return make("li", { class: raises ? "raises" : "lowers" }, make("code", {}, one.feature),
      make("meter", { min: 0, max: most, value: Math.abs(one.contribution), "aria-hidden": "true" }),
      make("span", {}, `${raises ? "▲ raises" : "▼ lowers"} (${one.contribution.toFixed(3)})`));
  })));
}

export function decision(one, policy) {
  const id = one.decision_id;
  return make("article", { class: "card answer" },
    verdict(one.decision, "Decision"),
    ruled(one.rule, policy),
    facts([["PD", percent(one.pd), "probability of default"], ["Grade", one.band], ["Points", one.points, "more is better"]]),
    plot(policy, one.pd),
    reasons(one.reasons), contributions(one.contributions), outside(one.outside_training), families(one.families),
    make("footer", { class: "quiet" },
      make("p", {}, "Decision ", make("a", { href: `#decision=${encodeURIComponent(id)}` }, make("code", {}, id))),
      make("p", {}, `applicant ${one.applicant_id} · model ${one.model_version} · policy ${one.policy_version}`,
        one.decided_at ? ` · decided ${new Date(one.decided_at).toLocaleString()}` : "")));
}

export function estimate(one, before, changed, policy) {
  const side = (kicker, outcome, pd, band, points) => make("div", {}, verdict(outcome, kicker, "h3"),
    facts([["PD", percent(pd)], ["Grade", band], ["Points", points]]));
  const moved = before ? one.pd - before.pd : 0;
  return make("article", { class: "card answer estimate" },
    make("h2", {}, "What if"),
    make("p", { class: "quiet" }, "An estimate: nothing was decided, nothing was stored."),
    before
      ? make("div", { class: "sides" }, side("Before", before.decision, before.pd, before.band, before.points),
        side("After", one.outcome, one.pd, one.band, one.points))
      : side("Estimate", one.outcome, one.pd, one.band, one.points),
    before ? make("p", { class: "moved" }, moved === 0 ? "The PD stays where it is."
      : `The PD ${moved > 0 ? "rises" : "falls"} by ${(Math.abs(moved) * 100).toFixed(2)} percentage points.`) : null,
    before && changed.length ? make("table", {}, make("caption", { class: "hidden" }, "What was changed"),
      make("thead", {}, make("tr", {}, ["Changed", "Before", "After"].map((name) => make("th", { scope: "col" }, name)))),
      make("tbody", {}, changed.map((change) => make("tr", {}, make("th", { scope: "row" }, change.label),
        make("td", {}, String(change.before ?? "–")), make("td", {}, String(change.after ?? "–")))))) : null,
    ruled(one.rule, policy),
    plot(policy, one.pd, before ? before.pd : null), reasons(one.reasons), contributions(one.contributions), outside(one.outside_training),
    families(one.families));
}

const OUTCOMES = { approve: "approved", refer: "referred to a person", decline: "declined" };

function suggestion(one) {
  const fields = one.changes.flatMap((change) => change.fields);
  return make("li", {}, one.changes.map((change) => make("p", {}, change.text)),
    make("table", {}, make("thead", {}, make("tr", {}, ["Column", "Now", "Then"].map((name) => make("th", { scope: "col" }, name)))),
      make("tbody", {}, fields.map((field) => make("tr", {}, make("th", { scope: "row" }, make("code", {}, field.column)),
        make("td", {}, field.before.toLocaleString()), make("td", {}, field.after.toLocaleString()))))),
    make("p", { class: "moved" }, `It would be ${OUTCOMES[one.outcome]}, with a PD of ${percent(one.pd)}.`));
}

export function recourse(found) {
  return make("article", { class: "card recourse" }, make("h2", {}, "What could change the decision"),
    make("p", { class: "quiet" }, "Each suggestion was scored by the model in use. Nothing was decided, nothing was stored."),
    found.suggestions.length ? make("ol", { class: "suggestions" }, found.suggestions.map(suggestion))
      : make("p", { class: "notice" }, `Nothing was found: ${found.none_because}.`),
    make("h3", {}, "What cannot be changed"), make("ul", {}, found.fixed.map((words) => make("li", {}, words))),
    found.not_tried.length ? make("details", {}, make("summary", {}, make("span", {}, "What was not tried")),
      make("ul", {}, found.not_tried.map((words) => make("li", {}, words)))) : null,
    families(found.families));
}

export const recourseButton = (onAsk) =>
  make("button", { type: "button", id: "recourse", onclick: onAsk }, "What could change the decision");

export function reviews(found) {
  if (!found || !found.length) return null;
  return make("section", {}, make("h3", {}, "Reviewed"), make("ul", { class: "reviews" }, found.map((review) => make("li", {},
    make("strong", {}, `${WORDS[review.outcome][0]} ${WORDS[review.outcome][1]}`), ` by ${review.reviewer}, `,
    new Date(review.reviewed_at).toLocaleString(), make("p", {}, review.reason)))));
}

export function reviewForm(onReview) {
  const named = (name, label, input, hint) => make("div", { class: "field" }, make("label", { for: `review-${name}` }, label),
    hint ? make("p", { class: "hint" }, hint) : null, input,
    make("p", { class: "error", id: `review-${name}-error`, role: "alert" }));
  const described = (name) => ({ id: `review-${name}`, name, "aria-describedby": `review-${name}-error` });
  const form = make("form", { class: "card", id: "review-form", novalidate: true }, make("h2", {}, "Review of the referral"),
    named("reviewer", "Who decides", make("input", { ...described("reviewer"), autocomplete: "name" })),
    named("outcome", "Outcome", make("select", described("outcome"), make("option", { value: "" }, ""),
      make("option", { value: "approve" }, "Approve"), make("option", { value: "decline" }, "Decline"))),
    named("reason", "Why", make("textarea", { ...described("reason"), rows: 3 }), "Kept as it is, beside the decision."),
    make("button", { type: "submit", class: "strong" }, "Record the review"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    onReview(Object.fromEntries(["reviewer", "outcome", "reason"].map((name) => [name, form.elements[name].value])));
  });
  return form;
}

export function reviewErrors(errors) {
  for (const name of ["reviewer", "outcome", "reason"]) {
    const error = errors.find((one) => one.column === name);
    document.getElementById(`review-${name}-error`).textContent = error ? error.message : "";
    document.getElementById(`review-${name}`).toggleAttribute("aria-invalid", Boolean(error));
  }
}
