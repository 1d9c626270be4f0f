// All pages work without this. It reads the page again without losing the place, sends
// forms as soon as something is chosen, lets one follow strands, and knows some keys.
"use strict";

const SECONDS = 5;

document.documentElement.classList.add("scripted");

// What has the focus, by what it is.
function place(element) {
  if (!element || element === document.body) return null;
  if (element.id) return `#${CSS.escape(element.id)}`;
  const href = element.getAttribute("href");
  const text = element.getAttribute("aria-label");
  if (href) return `${element.localName}[href="${CSS.escape(href)}"]`;
  return text ? `[aria-label="${CSS.escape(text)}"]` : null;
}

let isReading = false;

async function readAgain() {
  if (isReading) return;
  isReading = true;
  try {
    await read();
  } finally {
    isReading = false;
  }
}

async function read() {
  let text;
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    text = await answer.text();
    if (!answer.ok) throw new Error(text);
  } catch {
    lost();
    return;
  }
  const next = new DOMParser().parseFromString(text, "text/html").querySelector("main");
  const main = document.querySelector("main");
  if (!next || getSelection().type === "Range") return;
  const focused = main.contains(document.activeElement) && place(document.activeElement);
  const scrolled = [...main.querySelectorAll(".picture, .scroll")].map((one) => one.scrollLeft);
  main.replaceChildren(...next.childNodes);
  [...main.querySelectorAll(".picture, .scroll")].forEach((one, index) => {
    one.scrollLeft = scrolled[index] ?? 0;
  });
  if (focused) main.querySelector(focused)?.focus({ preventScroll: true });
  follow();
}

// The command has ended, or the network to it: what is shown is old.
function lost() {
  if (document.querySelector("#lost")) return;
  const told = document.createElement("p");
  told.id = "lost";
  told.className = "problem";
  told.setAttribute("role", "alert");
  told.textContent = "istio-stats ui does not answer any more: this is what it last said.";
  document.querySelector("main").prepend(told);
}

// Of the picture only what belongs to the box or strand at the pointer, or in the focus: its strands and their ends.
function follow() {
  for (const picture of document.querySelectorAll(".topology")) {
    picture.querySelectorAll(".lit").forEach((one) => one.classList.remove("lit"));
    const chosen =
      picture.querySelector(":is(.box, .strand):hover") ?? picture.querySelector(":is(.box, .strand):focus-visible");
    picture.classList.toggle("followed", Boolean(chosen));
    if (!chosen) continue;
    const { box, ends } = chosen.dataset;
    const strands = [...picture.querySelectorAll(box ? `[data-ends~="${box}"]` : `[data-ends="${ends}"]`)];
    const reached = new Set(strands.flatMap((strand) => strand.dataset.ends.split(" "))).add(box);
    const boxes = [...picture.querySelectorAll(".box")].filter((one) => reached.has(one.dataset.box));
    [...strands, ...boxes].forEach((one) => one.classList.add("lit"));
  }
}

for (const event of ["pointerover", "focusin", "focusout"]) addEventListener(event, follow);

const isPaused = () => document.body.hasAttribute("data-paused");

setInterval(() => {
  if (!isPaused() && !document.hidden) readAgain();
}, SECONDS * 1000);

document.querySelector(".filters")?.addEventListener("change", (event) => event.currentTarget.requestSubmit());

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const views = document.querySelectorAll("nav a");
  if (event.key === "/") {
    event.preventDefault();
    document.querySelector("#q")?.focus();
  } else if (event.key === "r") {
    readAgain();
  } else if (event.key === "p") {
    document.querySelector(".pause")?.click();
  } else if (/^[1-9]$/.test(event.key)) {
    views[Number(event.key) - 1]?.click();
  }
});
