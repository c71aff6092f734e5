// The shop front works without this file. It adds three things: sums follow the quantities; every click on a button
// that buys is sent at once and told what it was answered, so that two clicks are seen to be one order; and the page of
// a queued order looks again itself.
"use strict";

const SETTLE_MS = 600; // after the last answer: a second click of a double click comes within this time
const ANSWER_LIMIT_MS = 60000;
const LOOK_AGAIN_MS = 1000;
const MAX_CLICKS = 99;

const filled = (text, values) => text.replace(/{(\w+)}/g, (whole, name) => values[name] ?? whole);
const shortOf = (url) => (url.match(/\/shop\/orders\/([\w.:-]+)/)?.[1] ?? "").slice(-8);

async function post(url, body) {
  const response = await fetch(url, {
    method: "POST",
    body: new URLSearchParams(body),
    headers: { Accept: "application/json" },
    signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
  });
  return response.json();
}

function watchClicks(form) {
  const told = form.querySelector("[data-clicks]");
  const words = told.dataset;
  let sent = 0, open = 0, goal = "", leaving = 0;

  function leave() {
    if (open || !goal) return;
    const url = new URL(goal, location.href);
    const isOrder = url.pathname.startsWith("/shop/orders/");
    if (sent > 1 && isOrder && !url.searchParams.has("pending")) url.searchParams.set("clicks", sent);
    location.assign(url);
  }

  async function send(url, body) {
    const n = (sent += 1);
    const line = document.createElement("p");
    line.textContent = filled(words.sending, { n });
    told.append(line);
    clearTimeout(leaving);
    open += 1;
    try {
      const answer = await post(url, body);
      if (answer.go) {
        const short = shortOf(answer.go);
        const text = !short ? words.answered : goal ? words.same : words.first;
        line.textContent = filled(text, { n, short });
        goal ||= answer.go;
      } else {
        line.textContent = answer.text;
      }
    } catch {
      line.textContent = filled(words.failed, { n });
    }
    open -= 1;
    clearTimeout(leaving);
    leaving = setTimeout(leave, SETTLE_MS);
  }

  form.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (!button || !button.classList.contains("main")) return;
    event.preventDefault();
    if (sent < MAX_CLICKS) send(button.getAttribute("formaction") ?? form.getAttribute("action"), new FormData(form));
  });
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload(); // the browser kept the page: a new one has a new key
  });
}

function watchOrder(place) {
  let looks = Number(place.dataset.looks);
  async function look() {
    let status = place.dataset.look;
    try {
      const response = await fetch(location.href, { headers: { Accept: "application/json" } });
      status = (await response.json()).status ?? status;
    } catch {
      // no answer this time; the next look may have one
    }
    looks -= 1;
    if (status !== place.dataset.look) location.replace(location.href);
    else if (looks > 0) setTimeout(look, LOOK_AGAIN_MS);
    else place.textContent = place.dataset.still;
  }
  setTimeout(look, LOOK_AGAIN_MS);
}

// Sums follow the quantities, in the form in which the service wrote them.
function watchQuantities(form) {
  const rows = [...form.querySelectorAll("tr[data-price]")];
  const total = form.querySelector("[data-total]");

  function write(cell, amount) {
    const places = cell.textContent.match(/\.(\d+)/)?.[1].length ?? 0;
    const digits = { minimumFractionDigits: places, maximumFractionDigits: places };
    const text = (amount / 10 ** places).toLocaleString("en", digits);
    cell.textContent = cell.textContent.replace(/\d[\d,.]*/, text);
  }

  form.addEventListener("input", () => {
    let sum = 0;
    for (const row of rows) {
      const amount = row.dataset.price * row.querySelector("input[name=quantity]").value;
      write(row.querySelector("[data-sum]"), amount);
      sum += amount;
    }
    write(total, sum);
  });
}

document.querySelectorAll("form[data-buy]").forEach(watchClicks);
document.querySelectorAll("form.checkout").forEach(watchQuantities);
document.querySelectorAll("[data-look]").forEach(watchOrder);
