// The desk: what happens when something is pressed. What belongs here: the order of things. What does not: how they look
// (answer, form, plot), how the service is asked (service).

import * as answer from "./answer.js";
import { byId, make, show } from "./elements.js";
import * as form from "./form.js";
import { ask, decide, Problem, useKey } from "./service.js";

let policy = null;
let example = null;
let last = null; // the last decision, with the application it was made on if that is known

async function open(key) {
  useKey(key);
  const [schema, metadata] = await Promise.all([ask("GET", "/schema"), ask("GET", "/metadata")]);
  policy = metadata.policy;
  example = schema.examples[0].applications[0];
  form.build(schema, () => show("summary", false));
  byId("in-use").textContent = `model ${metadata.model.version} · policy ${policy.version}`;
  for (const id of ["door", "desk", "leave"]) show(id, id !== "door");
  await follow();
}

async function busy(button, work) {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  show("failure", false);
  try {
    await work();
  } finally {
    button.removeAttribute("aria-busy");
  }
}

// What no field is to blame for.
function fail(problem) {
  const failure = byId("failure");
  failure.replaceChildren(make("strong", {}, `${problem.title}. `), problem.message,
    ...(problem.requestId ? [make("p", { class: "quiet" }, `Request ${problem.requestId}`)] : []));
  failure.hidden = false;
  failure.scrollIntoView({ block: "nearest" });
}

function answered(...nodes) {
  byId("answer-body").replaceChildren(...nodes.filter(Boolean));
  byId("answer").scrollTop = 0;
  byId("answer").scrollIntoView({ block: "nearest" });
}

// What was answered before must not be taken for the answer to what was refused.
function unanswered() {
  byId("answer-body").replaceChildren(make("div", { class: "card empty" }, make("h2", {}, "No answer"),
    make("p", {}, "What was asked last was refused; the reason stands where it was asked.")));
}

function showDecision(one, application, reviews = []) {
  last = { one, application };
  form.compareWith(application);
  const card = answer.decision(one, policy);
  const told = reviews === null ? make("p", { class: "notice" }, "Reviews cannot be read now.") : answer.reviews(reviews);
  if (told) card.querySelector("footer").before(told);
  if (one.decision !== "approve") card.querySelector("footer").before(answer.recourseButton((event) => suggest(one, event.target)));
  answered(card, one.decision === "refer" ? answer.reviewForm((given) => review(one, given)) : null);
}

// What would change a referral or decline stands below its card, once.
async function suggest(one, button) {
  await busy(button, async () => {
    try {
      const found = await ask("POST", "/recourse", { decision_id: one.decision_id });
      const card = button.closest(".card");
      button.remove();
      card.after(answer.recourse(found));
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      fail(problem);
    }
  });
}

async function review(one, given) {
  await busy(byId("review-form").querySelector("button"), async () => {
    try {
      await ask("POST", `/decisions/${encodeURIComponent(one.decision_id)}/review`, given);
      await openStored(one.decision_id);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      answer.reviewErrors(problem.errors);
      if (!problem.errors.length) fail(problem);
    }
  });
}

async function openStored(id) {
  const stored = await ask("GET", `/decisions/${encodeURIComponent(id)}`);
  const application = (stored.input && stored.input.application) || null;
  if (application) form.fillIn(application);
  showDecision(stored, application, stored.reviews);
}

async function follow() {
  const id = new URLSearchParams(location.hash.slice(1)).get("decision");
  if (!id || byId("desk").hidden) return;
  byId("stored").value = id;
  byId("stored-form").requestSubmit();
}

// A form with one field, whose errors are shown below it.
function single(name, work) {
  byId(`${name}-form`).addEventListener("submit", (event) => {
    event.preventDefault();
    const input = byId(name), error = byId(`${name}-error`);
    busy(event.target.querySelector("button"), async () => {
      error.textContent = "";
      input.removeAttribute("aria-invalid");
      try {
        await work(input.value.trim());
      } catch (problem) {
        if (!(problem instanceof Problem)) throw problem;
        unanswered();
        error.textContent = problem.errors.map((one) => one.message).join("; ") || problem.message;
        input.setAttribute("aria-invalid", "true");
        input.focus();
      }
    });
  });
}

// Asks about the application filled in; errors go to their fields.
function press(id, work) {
  byId(id).addEventListener("click", (event) => busy(event.target, async () => {
    form.showErrors([]);
    const application = form.values();
    try {
      await work(application);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      unanswered();
      if (problem.errors.length) form.showErrors(problem.errors);
      else fail(problem);
    }
  }));
}

single("key", async (key) => {
  if (!/^[!-~]+$/.test(key)) throw new Problem(0, { detail: "Enter an API key." });
  await open(key);
  byId("key").value = "";
});
single("known", async (id) => {
  const applicant = Number(id);
  const found = await decide({ applicant_ids: [id !== "" && Number.isFinite(applicant) ? applicant : id] });
  showDecision(found.decisions[0], null);
});
single("stored", async (id) => {
  if (id === "") throw new Problem(0, { detail: "Enter a decision id." });
  await openStored(id);
});
press("decide", async (application) => {
  const found = await decide({ applications: [application] });
  showDecision(found.decisions[0], application);
});
press("what-if", async (application) => {
  const found = await ask("POST", "/what-if", { applications: [application] });
  const before = last && last.application ? last : null;
  answered(answer.estimate(found.estimates[0], before && before.one, before ? form.changes(before.application) : [], policy));
});
byId("form").addEventListener("submit", (event) => event.preventDefault());
byId("example").addEventListener("click", () => form.fillIn(example));
byId("clear").addEventListener("click", () => {
  form.compareWith(null);
  form.fillIn({});
  last = null;
});
byId("leave").addEventListener("click", () => location.replace(location.pathname));
addEventListener("hashchange", follow);
byId("key").focus();
