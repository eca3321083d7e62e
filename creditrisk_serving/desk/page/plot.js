// The plot of a PD on the policy's cut-offs. What belongs here: drawing. What does not: numbers of the policy (GET /metadata).

import { draw, make } from "./elements.js";
import { percent } from "./answer.js";

const WIDTH = 560, LEFT = 14, RIGHT = 546, TOP = 44, BAR = 26;
// Most PDs are small: a square-root axis gives them room.
const at = (pd) => LEFT + (RIGHT - LEFT) * Math.sqrt(pd);

function zones(policy) {
  const { approve_below: approve, decline_from: decline } = policy.decisions;
  return [["approve", 0, approve], ["refer", approve, decline], ["decline", decline, 1]].filter(([, from, to]) => to > from);
}

function marker(pd, name, label) {
  const x = at(pd), y = TOP - 6;
  const end = x > RIGHT - 90 ? "end" : x < LEFT + 60 ? "start" : "middle";
  return draw("g", { class: `marker ${name}` },
    draw("line", { x1: x, x2: x, y1: y, y2: TOP + BAR + 4 }),
    draw("circle", { cx: x, cy: TOP + BAR / 2, r: 7 }),
    draw("text", { x, y: name === "before" ? 14 : y - 6, "text-anchor": end }, label));
}

export function plot(policy, pd, before = null) {
  const parts = zones(policy).map(([name, from, to]) => draw("g", { class: `zone ${name}` },
    draw("rect", { x: at(from), y: TOP, width: at(to) - at(from), height: BAR }),
    draw("text", { x: (at(from) + at(to)) / 2, y: TOP + BAR + 20, "text-anchor": "middle" }, name)));
  const cuts = [...new Set([policy.decisions.approve_below, policy.decisions.decline_from])];
  const ticks = [0, ...cuts, 1].map((cut, place, all) => draw("text", { class: "tick", x: at(cut), y: TOP + BAR + 38,
    "text-anchor": place === 0 ? "start" : place === all.length - 1 ? "end" : "middle" }, percent(cut, 0)));
  const grades = policy.bands.map((band, place, all) => {
    const from = place ? all[place - 1].below : 0, to = band.below ?? 1;
    return draw("g", { class: "grade" },
      place ? draw("line", { x1: at(from), x2: at(from), y1: TOP, y2: TOP + BAR }) : null,
      draw("text", { x: at(from) + 5, y: TOP + BAR - 8 }, band.name));
  });
  const said = `PD ${percent(pd)}. Approved below ${percent(policy.decisions.approve_below)}, declined from `
    + `${percent(policy.decisions.decline_from)}${before === null ? "" : `; before: ${percent(before)}`}.`;
  const svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${TOP + BAR + 46}`, role: "img", "aria-label": said, class: "plot" },
    parts, grades, ticks, before === null ? null : marker(before, "before", `before ${percent(before)}`),
    marker(pd, "now", percent(pd)));
  return make("figure", {}, svg, make("figcaption", { class: "hint" },
    "Where the PD stands on the policy’s cut-offs; letters are grades (square-root axis)."));
}
