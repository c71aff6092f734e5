// Shows a run: a card for each control, one chart with its table, and all runs of the session beside each other.

import { byId, draw, figuresOf, has, make, mostViolations, number, say, sayOn, slowControls, warmUps, write } from "./common.js";

const FIGURES = [["accepted", 0], ["refused", 0], ["failed", 0], ["unknown", 0], ["left", 0], ["twice", 0], ["violations", 0],
  ["rate", 0], ["p50_ms", 1], ["p95_ms", 1], ["batch", 1], ["waiting", 0]];
const POINTS = [["accepted", 0], ["refused", 0], ["left", 0], ["rate", 0], ["p95_ms", 1], ["batch", 1], ["waiting", 0], ["twice", 0], ["violations", 0]];
const EARLIER = [["accepted", 0], ["violations", 0], ["refused", 0], ["left", 0], ["rate", 0], ["p50_ms", 1], ["p95_ms", 1], ["batch", 1]];
const SELDOM = ["failed", "unknown", "waiting", "twice"]; // shown only where there is something
const EVERY_MS = 1000; // a chart at most
const LONGEST_MS = 4000; // between two charts, however long one takes
const TIMES = 20; // as long as the last chart took is between two: up to 200 ms each, a 20th of the time at most
const SAID_RULES = 4;
const MOST_SPOKEN = 12;

let shown = null; // the run that is shown
let openSlow = () => {};
let cards = [];
let drawnAt = 0;
let every = EVERY_MS; // between two charts now
let due = null; // timer of the next chart
let drawing = false;
let chosen = false; // a figure, by the visitor
const spoken = new Set();

export function prepareShow(open) {
  openSlow = open;
  byId("figure").addEventListener("change", () => {
    chosen = true;
    chart(true);
  });
  byId("points").addEventListener("toggle", table);
  byId("compare").addEventListener("toggle", compare);
  document.addEventListener("visibilitychange", () => chart(false));
}

export function show(run) {
  if (!run) return;
  if (!shown || shown.number !== run.number) {
    cards = [];
    byId("legs").replaceChildren();
    byId("charts").hidden = true;
    if (!chosen) byId("figure").value = run.plan.kind === "burst" ? "accepted" : "rate";
  }
  shown = run;
  byId("stop").hidden = run.state !== "running";
  byId("first-go").disabled = byId("own-go").disabled = run.state === "running";
  byId("own-busy").hidden = run.state !== "running";
  run.legs.forEach((leg, at) => {
    cards[at] ??= card(leg, run);
    fill(cards[at], leg, run);
  });
  write(byId("say"), state(run));
  speak(run);
  if (run.legs.some((leg) => leg.points.length)) {
    byId("charts").hidden = false;
    chart(run.state !== "running");
    table();
  }
}

function state(run) {
  if (run.state === "running" && run.opening && !run.legs.length) return say("now.opening", { what: run.opening });
  return say(`now.${run.state}`, { number: run.number, error: run.error });
}

// What a screen reader is told, once each: a run begins, a control has its verdict, a run ends; never a moving figure.
function speak(run) {
  const all = [[`${run.number} ${run.state}`, say(`now.${run.state}`, { number: run.number, error: run.error })]];
  run.legs.forEach((leg, at) => {
    if (!leg.verdict && !leg.why) return;
    const { kind, text, rules = [] } = verdict(leg, run);
    const meaning = rules.length ? ` ${say(`rule.${rules[0]}`)}` : "";
    all.unshift([`${run.number} leg ${at} ${kind}`, `${leg.control}: ${text}${meaning}`]);
  });
  const fresh = all.filter(([name]) => !spoken.has(name));
  fresh.forEach(([name]) => spoken.add(name));
  byId("spoken").append(...fresh.map(([, text]) => make("p", {}, text)));
  while (byId("spoken").children.length > MOST_SPOKEN) byId("spoken").firstElementChild.remove();
}

/** The verdict on one control: a kind for its colour, the plain sentence, the broken rules, and the lab's own words. */
export function verdict(leg, run) {
  const sums = leg.sums;
  const burst = run.plan.kind === "burst";
  const rules = sums.violations ?? {};
  if (leg.why) return { kind: "odd", text: say("leg.left_out", { why: leg.why }) };
  const said = { rules: Object.keys(rules).slice(0, SAID_RULES), label: "verdict.first", detail: sums.detail };
  const more = sums.accepted - run.right;
  const values = { stock: number(run.right), more: number(more) };
  for (const name of ["accepted", "refused", "left"]) values[name] = number(sums[name]);
  if (rules.oversell && run.right !== null && more > 0) {
    return { kind: "oversold", text: say("verdict.oversold", values), rules: said.rules };
  }
  const broken = Object.entries(rules).map(([rule, count]) => `${rule} ${number(count)}`);
  // of these two only rules about time were broken, which says nothing of the data
  if (["late", "not caught"].includes(leg.verdict)) return { kind: "odd", text: say(`odd.${leg.verdict}`), ...said };
  if (broken.length) {
    return { kind: "broken", text: say("verdict.broken", { rules: broken.slice(0, SAID_RULES).join(", ") }), ...said };
  }
  if (leg.kept === false) {
    return { kind: "odd", text: say(`odd.${leg.verdict}`), label: "verdict.reason", detail: leg.reason };
  }
  const held = say(burst ? "verdict.held_burst" : "verdict.held", values);
  if (run.seen_to_fail) return { kind: "held", text: held };
  return { kind: "unshown", text: say(leg.must_fail ? "verdict.unshown_control" : "verdict.unshown", { held }) };
}

const MARKS = { held: "✓", odd: "!", unshown: "?" };
const badge = (kind) => `${MARKS[kind] ?? "✗"} ${say(`badge.${kind}`)}`;

function card(leg, run) {
  const parts = {
    root: make("article", { class: "card", "data-control": leg.control }),
    badge: make("span", { class: "badge" }),
    sentence: make("p", { class: "sentence" }),
    rules: make("ul", { class: "small" }),
    label: make("span"),
    detail: make("span", { lang: "en" }), // the lab's own words
    expected: make("p", { class: "small" }),
    why: make("p"),
    figures: make("dl", { class: "figures" }),
    faults: make("ul", { class: "small" }),
    values: {},
  };
  const title = make("h3", {}, make("span", {}, leg.control), parts.badge);
  for (const [name] of FIGURES) {
    parts.values[name] = make("dd", {}, "–");
    parts.figures.append(make("div", { "data-figure": name }, make("dt", {}, say(`figure.${name}`)), parts.values[name]));
  }
  const see = make("button", { type: "button", class: "see" }, say("why.see"));
  see.addEventListener("click", () => openSlow(leg.control));
  parts.see = make("p", { class: "actions" }, see);
  parts.see.hidden = !slowControls.includes(leg.control);
  parts.note = make("p", { class: "small" }, run.plan.kind === "burst" ? say("worst", { rounds: number(run.plan.rounds), warm: warmUps }) : say("judged", { most: mostViolations }));
  parts.root.append(title, parts.sentence, parts.rules, make("p", { class: "small" }, parts.label, " ", parts.detail), parts.expected, parts.why, parts.see, parts.figures, parts.note, parts.faults);
  byId("legs").append(parts.root);
  return parts;
}

function fill(parts, leg, run) {
  const sums = leg.sums;
  const last = leg.points.at(-1) ?? {};
  const judged = run.plan.kind === "burst" || Boolean(leg.verdict);
  const violations = judged ? violationsOf(sums) : null;
  const moving = run.state === "running" && !leg.verdict;
  const rounds = run.plan.kind === "burst" && violations > 0 ? last.x : null;
  const values = { ...sums, violations, waiting: moving ? last.waiting : null,
    rate: moving ? last.rate : sums.rate, p50_ms: sums.p50_ms ?? last.p50_ms, p95_ms: sums.p95_ms ?? last.p95_ms };
  for (const [name, digits] of FIGURES) {
    const text = number(values[name], digits);
    write(parts.values[name], name === "violations" && rounds ? say("violations.in", { count: text, rounds: number(rounds) }) : text);
    parts.values[name].parentElement.hidden = SELDOM.includes(name) && !values[name];
  }
  // The database is not asked where deliveries come in: what is left then says nothing.
  parts.values.left.parentElement.hidden = leg.points.length > 0 && leg.points.every((point) => point.left === null);
  for (const name of ["twice", "violations"]) parts.values[name].parentElement.classList.toggle("wrong", values[name] > 0);
  faults(parts.faults, sums.faults ?? []);
  if (!leg.verdict && !leg.why) {
    write(parts.badge, !moving ? say("leg.cut") : leg.judging ? say("leg.judging") : say("leg.moving"));
    if (!moving) {
      write(parts.sentence, cut(leg, run, violations));
      write(parts.note, say("cut.figures"));
    }
    return;
  }
  const found = verdict(leg, run);
  parts.root.classList.remove("unshown", "held"); // a control that fails later in the run shows it after all
  parts.root.classList.add(found.kind);
  write(parts.badge, badge(found.kind));
  write(parts.sentence, found.text);
  parts.rules.replaceChildren(...(found.rules ?? []).map((rule) => make("li", {}, say("violations.of", { rule, count: number(sums.violations[rule]), meaning: say(`rule.${rule}`) }))));
  write(parts.label, found.detail ? say(found.label) : "");
  write(parts.detail, found.detail ?? "");
  const broken = found.kind === "oversold" || found.kind === "broken";
  write(parts.expected, !broken ? "" : leg.must_fail ? say("expected.must") : leg.kept ? say("expected.not_claimed") : say("expected.defect"));
  const name = `why.${leg.control.split(":")[0]}`;
  if (!leg.why && has(name)) write(parts.why, sayOn(run.plan.database, name));
}

const violationsOf = (sums) => Object.values(sums.violations ?? {}).reduce((sum, count) => sum + count, 0);

/** What is known of a control whose run was stopped, failed, or ended with the lab before there was a verdict. */
function cut(leg, run, violations) {
  const last = leg.points.at(-1);
  if (!last) return say("cut.nothing");
  const burst = run.plan.kind === "burst";
  const after = burst ? say("cut.rounds", { count: number(last.x) }) : say("cut.seconds", { count: number(last.x, 1) });
  const count = burst ? violations : leg.sums.twice;
  return say(count ? "cut.broken" : "cut.unbroken", { after, count: number(count) });
}

function faults(list, all) {
  if (list.children.length === all.length) return;
  list.replaceChildren(...all.map(([at, name, action, detail]) =>
    make("li", {}, `${number(at, 1)} s: ${name} ${say(`fault.${action}`)}${detail ? ` (${detail})` : ""}`)));
}

// One picture a second at most, fewer where it takes long, as the run needs the same processor; only while the page is
// looked at. The last state of a run is always drawn.
function chart(last) {
  if (!shown || byId("charts").hidden || document.hidden) return;
  clearTimeout(due);
  const wait = drawnAt + every - performance.now();
  if (drawing || (wait > 0 && !last)) {
    due = setTimeout(() => chart(last), last ? 100 : Math.max(wait, 100));
    return;
  }
  drawing = true;
  drawnAt = performance.now();
  const element = byId("chart");
  const figure = byId("figure").value;
  const controls = shown.plan.controls.join(", ");
  element.setAttribute("aria-label", say("chart.says", { figure: say(`figure.${figure}`), controls }));
  draw(element, `chart/${shown.number}/${figure}.svg`, element.clientWidth).catch(() => {}).finally(() => {
    drawing = false;
    every = Math.min(Math.max(EVERY_MS, TIMES * (performance.now() - drawnAt)), LONGEST_MS);
  });
}

function table() {
  if (!byId("points").open || !shown) return;
  const burst = shown.plan.kind === "burst";
  const head = make("tr", {}, make("th", { scope: "col" }, say("earlier.control")),
    make("th", { scope: "col", class: "number" }, say(burst ? "chart.round" : "chart.seconds")),
    ...POINTS.map(([name]) => make("th", { scope: "col", class: "number" }, say(`figure.${name}`))));
  const rows = shown.legs.flatMap((leg) => leg.points.map((point) => make("tr", {}, make("th", { scope: "row" }, leg.control),
    make("td", { class: "number" }, number(point.x, burst ? 0 : 2)),
    ...POINTS.map(([name, digits]) => make("td", { class: "number" }, number(point[name], digits))))));
  byId("point-table").replaceChildren(make("thead", {}, head), make("tbody", {}, ...rows));
}

export function showEarlier(runs) {
  byId("runs").hidden = !runs.length;
  const rows = [...runs].reverse().flatMap((run) => run.legs.map((leg) => {
    const { kind, workload, database, fault, buyers, stock } = run.plan;
    const own = figuresOf(kind, workload);
    const others = kind === "burst" && (buyers !== own.buyers || stock !== own.stock);
    const named = fault ? "earlier.under" : others ? "earlier.others" : "earlier.text";
    const what = say(named, { workload, database, fault, buyers: number(buyers), stock: number(stock) });
    const found = leg.verdict || leg.why ? verdict(leg, run) : null;
    const values = { ...leg.sums, violations: run.plan.kind === "burst" || leg.verdict ? violationsOf(leg.sums) : null };
    return make("tr", {}, make("th", { scope: "row" }, String(run.number)),
      make("td", {}, leg.control, make("span", { class: "what" }, what)),
      make("td", {}, found ? badge(found.kind) : say(run.state === "running" ? "leg.moving" : "leg.cut")),
      ...EARLIER.map(([name, digits]) => make("td", { class: "number" }, number(values[name], digits))));
  }));
  byId("earlier").replaceChildren(...rows);
  if (runs.length && runs.at(-1).state !== "running") compare();
}

function compare() {
  const element = byId("compare-chart");
  if (byId("compare").open && shown) draw(element, "compare.svg", element.clientWidth).catch(() => {});
}
