// The race in slow motion: asks the server to let one go on, and shows what that did.

import { byId, make, post, say, sayOn, write } from "./common.js";

let race = null; // the last state
let asking = false;
const ANSWER_S = 90; // a private database has to start

export function prepareSlow() {
  const form = byId("slow-form");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    begin();
  });
  form.elements.database.addEventListener("change", note);
  for (const button of byId("slow-race").querySelectorAll("button[data-who]")) {
    button.addEventListener("click", () => step(button.dataset.who));
  }
  note();
}

/** Begins the race under a control, from a link elsewhere on the page. */
export function openSlow(control) {
  const form = byId("slow-form");
  form.elements.control.value = control;
  byId("slow").scrollIntoView({ block: "start" });
  byId("slow").focus({ preventScroll: true });
  begin();
}

function note() {
  byId("slow-note").hidden = byId("slow-form").elements.database.value !== "sqlite";
}

async function begin() {
  const form = byId("slow-form");
  byId("slow-race").hidden = true;
  write(byId("slow-say"), say("slow.beginning"));
  byId("slow-begin").disabled = true;
  await ask("slow", { control: form.elements.control.value, database: form.elements.database.value });
  byId("slow-begin").disabled = false;
  write(byId("slow-begin"), say("slow.again"));
  // what comes next has the focus, unless the visitor has gone elsewhere meanwhile; a disabled button loses it
  const at = document.activeElement;
  if (race?.next && [null, document.body, byId("slow"), byId("slow-begin")].includes(at)) byId("slow-next").focus();
}

async function step(who) {
  if (!race || asking) return;
  await ask("slow/step", { id: race.id, who: who === "next" ? race.next : who });
}

async function ask(path, body) {
  asking = true;
  try {
    race = await post(path, body, ANSWER_S);
    show();
  } catch (error) {
    write(byId("slow-say"), error.message);
  } finally {
    asking = false;
  }
}

const named = (who) => (who === "sequencer" ? say("slow.sequencer_who") : say("slow.buyer", { who }));
const row = (view) => (view ? say("slow.row", view) : "–");

function told(each) {
  return sayOn(race.database, `story.${each.did}`, { ...each, who: named(each.who) });
}

function show() {
  byId("slow-race").hidden = false;
  for (const button of byId("slow-race").querySelectorAll("button[data-who]")) {
    const who = button.dataset.who;
    button.hidden = who !== "next" && race.control === "sequencer";
    button.disabled = who === "next" ? !race.next : !race.movable.includes(who);
  }
  const everybody = make("article", { class: "card" }, make("h3", {}, say("slow.everybody")), make("p", { class: "now" }, row(race.row)));
  byId("slow-buyers").replaceChildren(...Object.entries(race.buyers).map(([who, buyer]) => card(who, buyer)), everybody);
  const last = race.steps.at(-1);
  byId("slow-steps").replaceChildren(...race.steps.map(line));
  write(byId("slow-say"), last ? last.happened.map(told).join(" ") : say("slow.ready"));
  showEnd();
  byId("slow-steps").lastElementChild?.scrollIntoView({ block: "nearest" });
}

function state(buyer) {
  if (buyer.state !== "answered") return say(`state.${buyer.state}`);
  return say(`state.${buyer.status}`, { code: buyer.answer });
}

function card(who, buyer) {
  const kind = buyer.state === "answered" ? (buyer.status === "accepted" ? "held" : "odd") : "";
  const made = make("article", { class: `card ${kind}`, "data-buyer": who }, make("h3", {}, named(who)), make("p", { class: "now" }, state(buyer)));
  if (buyer.sees) made.append(make("p", { class: "small" }, `${say("slow.own")}: ${row(buyer.sees)}`));
  if (buyer.decided_on) made.append(make("p", { class: "small" }, `${say("slow.decided")}: ${row(buyer.decided_on)} → ${say(`decision.${buyer.decision}`)}`));
  return made;
}

function line(each) {
  const texts = each.happened.flatMap((happened) => {
    const parts = [make("p", {}, told(happened))];
    for (const decided of happened.decided ?? []) {
      const values = { ...decided, who: named(decided.who), decision: say(`decision.${decided.decision}`) };
      parts.push(make("p", {}, say("story.batch_decided", values)));
    }
    if (happened.sql) parts.push(make("code", {}, happened.sql));
    return parts;
  });
  return make("tr", {}, make("th", { scope: "row" }, String(each.number)), make("td", {}, ...texts), make("td", {}, row(each.row)));
}

function end() {
  const answers = Object.entries(race.buyers).map(([who, buyer]) => say("slow.answer", { who: named(who), answer: state(buyer) }));
  const rule = race.violations[0]?.rule;
  return say(`slow.end_${race.end.kind}`, { ...race.end, answers: answers.join(" "), rule, meaning: say(`rule.${rule}`) });
}

function showEnd() {
  const place = byId("slow-end");
  place.replaceChildren();
  if (!race.ended) return;
  const kind = { held: "held", undecided: "odd" }[race.end.kind] ?? "oversold";
  const lines = race.ledger.map((each) => make("li", {}, say("slow.ledger_line", { ...each, who: each.who ? named(each.who) : say("slow.ledger_made") })));
  const why = make("p", {}, sayOn(race.database, `why.${race.control}`));
  const detail = race.end.detail ? [make("p", { class: "small" }, say("verdict.first"), " ", make("span", { lang: "en" }, race.end.detail))] : [];
  place.append(make("article", { class: `card ${kind}` }, make("p", { class: "sentence" }, end()), ...detail, why,
    make("h3", {}, say("slow.ledger")), make("ul", {}, ...lines)));
}
