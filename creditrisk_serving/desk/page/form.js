// The application's form, made from GET /schema. What belongs here: groups, inputs, reading and filling them, errors at
// their field. What does not: rules of values (the service's), asking the service.

import { byId, make } from "./elements.js";

const GROUPS = [
  ["The loan", true, /^(NAME_CONTRACT_TYPE|AMT_CREDIT|AMT_ANNUITY|AMT_GOODS_PRICE)$/],
  ["The applicant", true, /^(SK_ID_CURR|CODE_GENDER|DAYS_BIRTH|CNT_|NAME_FAMILY|NAME_EDUCATION|NAME_HOUSING|FLAG_OWN|OWN_CAR)/],
  ["Income and work", true, /^(AMT_INCOME|NAME_INCOME|DAYS_EMPLOYED|OCCUPATION|ORGANIZATION)/],
  ["External scores and enquiries", true, /^(EXT_SOURCE|AMT_REQ_CREDIT)/],
  ["Contact and address", false, /^(FLAG_MOBIL|FLAG_EMP|FLAG_WORK|FLAG_CONT|FLAG_PHONE|FLAG_EMAIL|REG_|LIVE_|REGION_|DAYS_)/],
  ["How the application was made", false, /^(NAME_TYPE_SUITE|WEEKDAY|HOUR)/],
  ["Social circle", false, /_SOCIAL_CIRCLE$/],
  ["Documents provided", false, /^FLAG_DOCUMENT/],
  ["The building of residence", false, /_(AVG|MODE|MEDI)$/],
  ["Other columns", false, /./],
];
const UNITS = {
  currency: "in the currency of the portfolio",
  days: "days before the application, as a negative number",
  years: "years",
  share: "between 0 and 1",
  score: "between 0 and 1",
  hour: "0 to 23",
};
const YES_NO = { Y: "Yes", N: "No", 1: "Yes", 0: "No" };
const DAYS_OF_A_YEAR = 365.25;

const fields = new Map(); // column -> {input, kind, error, note, group}
let compared = null; // values changes are told against

export const valueOf = (column) => read(fields.get(column));

export function build(schema, onChange) {
  const table = schema.$defs.application;
  const required = new Set(table.required || []);
  const groups = GROUPS.map(([title, open, pattern]) => ({ title, open, pattern, columns: [] }));
  for (const [column, declared] of Object.entries(table.properties)) {
    groups.find((group) => group.pattern.test(column)).columns.push(field(column, declared, required.has(column)));
  }
  fields.clear();
  const boxes = groups.filter((group) => group.columns.length).map((group) => {
    const count = make("span", { class: "quiet" });
    const box = make("details", { open: group.open }, make("summary", {}, make("span", {}, group.title), count),
      make("div", { class: "fields", role: "group", "aria-label": group.title }, group.columns.map((one) => one.box)));
    for (const one of group.columns) fields.set(one.column, { ...one, details: box });
    group.tell = () => {
      const filled = group.columns.filter((one) => one.input.value !== "").length;
      count.textContent = `${filled} of ${group.columns.length}`;
    };
    group.tell();
    return box;
  });
  const place = byId("groups");
  place.replaceChildren(...boxes);
  place.oninput = (event) => {
    const changed = fields.get(event.target.name);
    if (changed) {
      told(changed);
      clearError(changed);
    }
    groups.forEach((group) => group.tell && group.tell());
    onChange();
  };
}

function field(column, declared, required) {
  const kinds = (declared.anyOf || [declared]).filter((kind) => kind.type !== "null");
  const kind = { ...declared, ...kinds[0] };
  const id = `field-${column}`;
  const unit = declared["x-unit"];
  const input = choices(kind) ? select(id, column, kind, declared, required) : text(id, column, kind, required);
  const error = make("p", { class: "error", id: `${id}-error` });
  const note = make("p", { class: "note", id: `${id}-note` });
  const [said, ...more] = words(declared.description || column);
  const hints = [...more];
  if (unit in UNITS) hints.push(UNITS[unit]);
  if (!choices(kind)) {
    for (const [value, meaning] of Object.entries(declared["x-meanings"] || {})) hints.push(`${value}: ${meaning}`);
  }
  const hint = hints.length ? make("p", { class: "hint", id: `${id}-hint` }, hints.join("; ")) : null;
  input.setAttribute("aria-describedby", [hint && hint.id, note.id, error.id].filter(Boolean).join(" "));
  const list = kind.examples && !choices(kind)
    ? make("datalist", { id: `${id}-known` }, kind.examples.map((value) => make("option", { value })))
    : null;
  if (list) input.setAttribute("list", list.id);
  const label = make("label", { for: id }, said, required ? null : make("span", { class: "quiet" }, " (optional)"));
  const box = make("div", { class: "field" }, make("div", {}, label, make("code", { class: "column" }, column)),
    make("div", {}, input, list), make("div", {}, hint, note, error));
  return { column, box, input, error, note, label, type: kind.type, unit };
}

const choices = (kind) => kind.enum || (kind.const !== undefined ? [kind.const] : null);

function select(id, column, kind, declared, required) {
  const meanings = declared["x-meanings"] || {};
  const flags = declared["x-unit"] === "flag" || column.startsWith("FLAG_OWN");
  const options = choices(kind).map((value) => {
    const said = flags && value in YES_NO ? YES_NO[value] : String(value);
    return make("option", { value }, value in meanings ? `${said} (${meanings[value]})` : said);
  });
  return make("select", { id, name: column, required }, make("option", { value: "" }, ""), options);
}

function text(id, column, kind, required) {
  const mode = kind.type === "string" ? null : kind.type === "integer" ? "numeric" : "decimal";
  return make("input", { id, name: column, inputmode: mode, autocomplete: "off", spellcheck: "false", required });
}

// The dictionary's description: what comes before the first semicolon is the label.
function words(description) {
  const said = description.replace("building of residence: ", "").replace("NULL", "empty");
  return (said.charAt(0).toUpperCase() + said.slice(1)).split("; ");
}

// What cannot be read as a number is sent as it is: the service says what is wrong with it.
function read(one) {
  const given = one.input.value.trim();
  if (given === "") return undefined;
  if (one.type === "string") return given;
  const number = Number(given);
  return Number.isFinite(number) ? number : given;
}

export function values() {
  const found = {};
  for (const [column, one] of fields) {
    const value = read(one);
    if (value !== undefined) found[column] = value;
  }
  return found;
}

export function fillIn(application) {
  for (const [column, one] of fields) {
    const value = application[column];
    one.input.value = value === null || value === undefined ? "" : String(value);
    clearError(one);
  }
  byId("groups").dispatchEvent(new Event("input"));
  for (const one of fields.values()) told(one);
}

// From now on a field says how it differs from these values.
export function compareWith(application) {
  compared = application;
  for (const one of fields.values()) told(one);
}

export function changes(from) {
  return [...fields.values()].map((one) => ({ label: one.label.firstChild.textContent, column: one.column,
    before: from[one.column] ?? undefined, after: read(one) })).filter((change) => change.before !== change.after);
}

function told(one) {
  const value = read(one);
  const said = [];
  if (one.unit === "days" && typeof value === "number" && value <= 0) {
    said.push(`${(-value / DAYS_OF_A_YEAR).toFixed(1)} years before the application`);
  }
  const before = compared === null ? value : compared[one.column] ?? undefined;
  const changed = before !== value;
  if (changed) said.push(`decided with ${before === undefined ? "nothing" : before}`);
  one.box.classList.toggle("changed", changed);
  one.note.textContent = said.join("; ");
}

function clearError(one) {
  one.error.textContent = "";
  one.input.removeAttribute("aria-invalid");
}

// Shows errors at the fields they name, and lists all of them above the form; returns whether there were any to show.
export function showErrors(errors) {
  const summary = byId("summary");
  for (const one of fields.values()) clearError(one);
  summary.hidden = errors.length === 0;
  if (errors.length === 0) {
    summary.replaceChildren();
    return;
  }
  const items = errors.map((error) => {
    const one = fields.get(error.column);
    if (!one) return make("li", {}, [error.table, error.column, error.message].filter(Boolean).join(" · "));
    one.error.textContent = error.message;
    one.input.setAttribute("aria-invalid", "true");
    one.details.open = true;
    const go = (event) => {
      event.preventDefault();
      one.input.focus();
    };
    return make("li", {}, make("a", { href: `#${one.input.id}`, onclick: go },
      `${one.label.firstChild.textContent}: ${error.message}`));
  });
  summary.replaceChildren(make("h3", {}, "Nothing was computed"), make("ul", {}, items));
  summary.focus();
}
