// What all scripts of the live page share: words, requests that change something, and making elements.

const words = JSON.parse(document.body.dataset.words);
const token = document.body.dataset.token;
export const language = document.body.dataset.language;
export const mostViolations = document.body.dataset.mostViolations;
export const mostPages = document.body.dataset.mostPages;
export const answerSeconds = Number(document.body.dataset.answerSeconds);
export const warmUps = Number(document.body.dataset.warmUps);
export const mostControls = Number(document.body.dataset.mostControls);
export const slowControls = JSON.parse(document.body.dataset.slow);
export const summaries = JSON.parse(document.getElementById("summaries").dataset.summaries);
const figures = JSON.parse(document.getElementById("summaries").dataset.figures); // of each preset its own numbers

export const byId = (id) => document.getElementById(id);

/** A text of the page, its {names} filled in. */
export function say(name, values = {}) {
  return (words[name] ?? name).replace(/\{(\w+)\}/g, (all, key) => values[key] ?? all);
}

export const has = (name) => name in words;

/** The text of this name for a database, where it has one of its own. */
export function sayOn(database, name, values = {}) {
  return say(has(`${name}.${database}`) ? `${name}.${database}` : name, values);
}

/** The numbers of a preset of its own: buyers, stock, rounds; none of a recording. */
export const figuresOf = (kind, workload) => (kind === "burst" ? figures[workload] ?? {} : {});

const shown = {};
/** A number as people of this language write it; an em dash for none. */
export function number(value, digits = 0) {
  if (value === null || value === undefined) return "–";
  shown[digits] ??= new Intl.NumberFormat(language, { maximumFractionDigits: digits });
  return shown[digits].format(value);
}

/** An element with text or children. */
export function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/** Writes a text only where it differs: a screen reader is told of changes only, and nothing is laid out anew. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A POST of JSON; throws an Error with the lab's own words, or one that says that the lab did not answer in time. */
export async function post(path, body = {}, seconds = answerSeconds) {
  let answer, text;
  try {
    answer = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json", "x-stockade-token": token },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(seconds * 1000),
    });
    text = await answer.text();
  } catch (error) { // the browser's own words name neither the lab nor what to do
    throw new Error(error.name === "TimeoutError" ? say("connection.slow", { seconds }) : say("connection.none"));
  }
  let found;
  try {
    found = JSON.parse(text);
  } catch {
    found = { error: text.trim() };
  }
  if (!answer.ok) throw new Error(found.error);
  return found;
}

export const lab = { ended: false };

/** Draws a picture that the server makes; returns an error in words, or an empty text. */
export async function draw(element, path, width) {
  if (lab.ended) return ""; // the last picture stays
  const answer = await fetch(`${path}?width=${Math.floor(width)}&lang=${language}`);
  const text = await answer.text();
  if (!answer.ok) {
    let error = text;
    try {
      error = JSON.parse(text).error;
    } catch { /* it is plain text */ }
    write(element, say("chart.none", { error }));
    return error;
  }
  const picture = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  element.replaceChildren(document.importNode(picture, true));
  return "";
}
