// The live page: takes the events of the server, keeps the runs, and has them shown.

import { answerSeconds, byId, lab, mostPages, post, say, write } from "./common.js";
import { prepareForm } from "./form.js";
import { prepareShow, show, showEarlier } from "./show.js";
import { openSlow, prepareSlow } from "./slow.js";

const MOST_POINTS = 600; // of one control
const MOST_RUNS = 20;
const UNHEARD_MS = answerSeconds * 250; // without an event: then the page says so, and asks for the events anew
const STOP_S = 60; // a run ends its servers first
const runs = new Map();
let newest = null;
let source = null; // of the events

const FIRST = { kind: "burst", workload: "reference", controls: ["unprotected", "sequencer"], database: "sqlite" };

function keep(run) {
  const before = runs.get(run.number);
  if (before) run.legs.forEach((leg, at) => { if (!leg.points.length) leg.points = before.legs[at]?.points ?? []; });
  runs.set(run.number, run);
  while (runs.size > MOST_RUNS) runs.delete(Math.min(...runs.keys()));
  newest = runs.get(Math.max(...runs.keys()));
}

const handlers = {
  state({ runs: all }) {
    runs.clear();
    all.forEach(keep);
    changed(true);
  },
  run(run) {
    keep(run);
    changed(true);
  },
  told(told) {
    const run = runs.get(told.run);
    if (!run) return;
    const leg = run.legs[told.leg];
    run.seen_to_fail = told.seen_to_fail;
    if (told.event === "opening") run.opening = told.what;
    if (told.event === "leg") run.legs.push({ control: told.control, points: [], sums: {}, verdict: "", kept: null, reason: "", why: "" });
    if (told.event === "points" && leg) {
      leg.points = leg.points.concat(told.points).slice(-MOST_POINTS);
      leg.sums = told.sums;
    }
    if (told.event === "verdict" && leg) Object.assign(leg, { verdict: told.verdict, kept: told.kept, reason: told.reason, must_fail: told.must_fail });
    if (told.event === "judging" && leg) leg.judging = true;
    if (told.event === "left out" && leg) leg.why = told.why;
    changed(told.event !== "points");
  },
};

function changed(ended) {
  show(newest);
  if (ended) showEarlier([...runs.values()]);
}

// The lab has ended, and with it the run that went on: nothing on the page can be begun or stopped any more.
function ended() {
  lab.ended = true;
  if (newest?.state === "running") newest.state = "gone";
  changed(true);
  for (const button of document.querySelectorAll("button")) button.disabled = true;
}

function listen() {
  source?.close();
  const mine = (source = new EventSource("events"));
  const connection = byId("connection");
  const notice = (text) => {
    write(connection, text);
    connection.hidden = !text;
  };
  setTimeout(() => { // a browser with six tabs of one address says nothing of the seventh
    if (mine.readyState === EventSource.CONNECTING) notice(say("connection.lost"));
  }, UNHEARD_MS);
  source.addEventListener("open", () => notice(""));
  // a browser tries again when a connection was lost, and never when it was refused
  source.addEventListener("error", () =>
    notice(mine.readyState === EventSource.CLOSED ? say("connection.refused", { most: mostPages }) : say("connection.lost")));
  source.addEventListener("end", () => {
    mine.close();
    ended();
    notice(say("connection.ended"));
  });
  for (const [kind, handle] of Object.entries(handlers)) {
    source.addEventListener(kind, (event) => handle(JSON.parse(event.data)));
  }
}

async function start(plan) {
  const { number } = await post("run", plan);
  setTimeout(() => {
    if (runs.has(number) || lab.ended) return;
    write(byId("say"), say("now.unheard", { number }));
    listen();
  }, UNHEARD_MS);
  byId("results").focus({ preventScroll: true });
  byId("results").scrollIntoView({ block: "start" });
}

byId("first-go").addEventListener("click", async () => {
  try {
    await start(FIRST);
  } catch (error) {
    write(byId("say"), error.message);
  }
});
byId("first-slow").addEventListener("click", () => openSlow("unprotected"));
byId("stop").addEventListener("click", async () => {
  write(byId("say"), say("now.stopping"));
  await post("stop", {}, STOP_S).catch((error) => write(byId("say"), error.message));
});
prepareForm(start);
prepareSlow();
prepareShow(openSlow);
listen();
