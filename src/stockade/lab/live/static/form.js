// The form of a run of one's own: shows what belongs to the kind of workload, and sends the plan.

import { byId, mostControls, say, summaries, write } from "./common.js";

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
  }

  function plan() {
    const [kind, workload] = chosen();
    const controls = [...form.querySelectorAll("input[name=control]:checked")].map((each) => each.value);
    if (!controls.length) throw new Error(say("own.no_control"));
    if (controls.length > mostControls) throw new Error(say("own.many_controls", { most: mostControls }));
    const found = { kind, workload, controls, database: form.elements.database.value };
    for (const name of NUMBERS[kind]) found[name] = Number(form.elements[name].value);
    if (kind === "recording") found.fault = form.elements.fault.value;
    return found;
  }

  form.elements.workload.addEventListener("change", adapt);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const error = byId("own-error");
    write(error, "");
    try {
      await start(plan());
    } catch (problem) {
      write(error, problem.message);
    }
  });
  adapt();
}
