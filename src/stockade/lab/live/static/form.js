// The form of a run of one's own: shows what belongs to the kind of workload, fills in a preset's own numbers, and
// sends the plan.

import { byId, figuresOf, mostControls, number, say, summaries, write } from "./common.js";

const NUMBERS = { burst: ["buyers", "stock", "rounds", "processes"], recording: ["clients", "rate", "seconds", "processes"] };

export function prepareForm(start) {
  const form = byId("own");
  const chosen = () => form.elements.workload.value.split(/:(.*)/s);

  function adapt() {
    const [kind, workload] = chosen();
    for (const part of form.querySelectorAll("[data-kind]")) {
      part.hidden = part.dataset.kind !== kind;
      part.querySelector("input, select").disabled = part.hidden;
    }
    write(byId("workload-summary"), summaries[workload] ?? "");
    for (const [name, value] of Object.entries(figuresOf(kind, workload))) form.elements[name].value = value;
    compare();
  }

  /** Says where buyers or stock are not the preset's: then its summary is not what is right. Rounds repeat it. */
  function compare() {
    const { rounds: _, ...own } = figuresOf(...chosen());
    const changed = Object.entries(own).some(([name, value]) => form.elements[name].valueAsNumber !== value);
    const values = Object.fromEntries(Object.entries(own).map(([name, value]) => [name, number(value)]));
    write(byId("workload-changed"), changed ? say("own.changed", values) : "");
  }

  /** A number of the form; throws what is wrong with it in the words of the page: a browser's own are seen for seconds. */
  function read(name) {
    const field = form.elements[name];
    const value = field.valueAsNumber;
    const whole = field.step === "1";
    const good = value >= Number(field.min) && value <= Number(field.max) && (!whole || Number.isInteger(value));
    if (good) return value;
    field.setAttribute("aria-invalid", "true");
    field.focus();
    const values = { name: say(`own.${name}`), low: number(Number(field.min)), high: number(Number(field.max)) };
    throw new Error(say(whole ? "own.whole" : "own.number", values));
  }

  function plan() {
    const [kind, workload] = chosen();
    const controls = [...form.querySelectorAll("input[name=control]:checked")].map((each) => each.value);
    if (!controls.length) throw new Error(say("own.no_control"));
    if (controls.length > mostControls) throw new Error(say("own.many_controls", { most: mostControls }));
    const found = { kind, workload, controls, database: form.elements.database.value };
    for (const name of NUMBERS[kind]) found[name] = read(name);
    if (kind === "recording") found.fault = form.elements.fault.value;
    return found;
  }

  form.elements.workload.addEventListener("change", adapt);
  form.addEventListener("input", (event) => { if (event.target.type === "number") compare(); });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const error = byId("own-error");
    write(error, "");
    for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
    try {
      const chosenPlan = plan();
      write(byId("own-say"), say("own.asking"));
      await start(chosenPlan);
    } catch (problem) {
      write(error, problem.message);
    } finally {
      write(byId("own-say"), "");
    }
  });
  adapt();
}
