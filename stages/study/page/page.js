// Shows one form of the study in STUDY (study.js) and keeps the answers. Nothing is loaded from elsewhere.
"use strict";

const SCHEMA_VERSION = 1;
const main = document.getElementById("main");
const form = chooseForm();
const { words, questions } = STUDY.forms[form];
const session = restore() || { participant: randomName(), answers: [] };
let answer = null; // takes a choice while a question is open
let openedMs = 0;

document.title = STUDY.title;
document.addEventListener("keydown", onKey);
if (session.answers.length) next();
else showIntro();

function chooseForm() {
  const asked = Number.parseInt(new URLSearchParams(location.search).get("form"), 10);
  const count = STUDY.forms.length;
  if (asked >= 0 && asked < count) return asked;
  return crypto.getRandomValues(new Uint32Array(1))[0] % count;
}

function randomName() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// A phone may drop a page that is in the background; what was answered in it survives until the tab is closed.
function storageKey() {
  return `${STUDY.study} ${form}`;
}

function restore() {
  try {
    return JSON.parse(sessionStorage.getItem(storageKey()));
  } catch {
    return null;
  }
}

function keep() {
  try {
    sessionStorage.setItem(storageKey(), JSON.stringify(session));
  } catch {
    // Without storage the study works as well, as long as the page stays open.
  }
}

function forget() {
  try {
    sessionStorage.removeItem(storageKey());
  } catch {
    // There was none.
  }
}

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in made && typeof value !== "string") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function show(heading, ...children) {
  const title = element("h1", { tabindex: "-1", id: "heading" }, heading);
  main.replaceChildren(title, ...children);
  window.scrollTo(0, 0);
  return title;
}

function showIntro() {
  const agreed = element("input", { type: "checkbox", id: "agreed" });
  const start = element("button", { type: "button", class: "main", disabled: true, onclick: next }, "Start");
  agreed.addEventListener("change", () => { start.disabled = !agreed.checked; });
  show(
    STUDY.title,
    element("p", {}, STUDY.intro),
    element("p", {}, `There are ${questions.length} questions. Tap or click an answer, or use the keys that are shown on it.`),
    element("label", { class: "consent" }, agreed, "I am at least 18 years old, and I agree to take part."),
    start,
  );
  agreed.focus();
}

function next() {
  const number = session.answers.length;
  if (number === questions.length) return finish();
  const question = questions[number];
  preload(questions[number + 1]);
  const title = "left" in question ? showPair(question) : showWords(question);
  const done = element("progress", { max: String(questions.length), value: String(number), "aria-label": "Progress" });
  main.prepend(element("header", {}, done, element("span", {}, `${number + 1} of ${questions.length}`)));
  title.focus();
  answer = (choice) => {
    answer = null;
    session.answers.push({ choice, ms: Math.round(performance.now() - openedMs) });
    keep();
    next();
  };
  openedMs = performance.now();
}

function preload(question) {
  for (const side of ["left", "right", "picture"]) {
    if (question && question[side]) new Image().src = place(question[side]);
  }
}

function place(name) {
  return `pictures/${name}`;
}

function showPair(question) {
  const side = (name, key, arrow) =>
    element(
      "button",
      { type: "button", "data-choice": name, "aria-keyshortcuts": key, onclick: () => answer?.(name) },
      element("img", { src: place(question[name]), alt: `The ${name} face` }),
      element("kbd", { "aria-hidden": "true" }, arrow),
    );
  return show(
    "Which face looks more real?",
    element("div", { class: "pair", role: "group", "aria-labelledby": "heading" },
      side("left", "ArrowLeft", "←"), side("right", "ArrowRight", "→")),
    element("p", { class: "hint" }, "Keys: left and right arrow."),
  );
}

function showWords(question) {
  const options = words.map((word, index) =>
    element(
      "button",
      { type: "button", "data-choice": word, "aria-keyshortcuts": String(index + 1), onclick: () => answer?.(word) },
      element("kbd", { "aria-hidden": "true" }, String(index + 1)),
      label(word),
    ));
  const subject = question.word
    ? element("p", { class: "instruction" }, `To show that you are reading this, please choose “${label(question.word)}”.`)
    : element("div", { class: "single" }, element("img", { src: place(question.picture), alt: "A face" }));
  return show(
    question.word ? "No face this time" : "Which emotion does this face show?",
    subject,
    element("div", { class: "words", role: "group", "aria-labelledby": "heading" }, ...options),
    element("p", { class: "hint" }, `Keys: 1 to ${words.length}.`),
  );
}

function label(word) {
  return word === "none" ? "none of these" : word;
}

// A shortcut presses the button that it is written on, so that keys can do exactly what fingers can.
function onKey(event) {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  const button = main.querySelector(`[aria-keyshortcuts="${CSS.escape(event.key)}"]`);
  if (!button) return;
  event.preventDefault();
  button.click();
}

async function finish() {
  const title = show("Thank you!", element("p", { role: "status", id: "status" }, "Sending your answers …"));
  title.focus();
  const sent = await send();
  const status = document.getElementById("status");
  if (sent) {
    status.textContent = "Your answers were received. You can close this page.";
    return;
  }
  status.textContent = "One more step: please save your answers, and send the file to whoever asked you.";
  const save = element("button", { type: "button", class: "main", onclick: download }, "Save answers");
  main.append(save);
  save.focus();
}

function record() {
  const { participant, answers } = session;
  return JSON.stringify({ schema_version: SCHEMA_VERSION, study: STUDY.study, form, participant, answers });
}

async function send() {
  if (!location.protocol.startsWith("http")) return false;
  try {
    const reply = await fetch("answers", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: record(),
    });
    if (reply.ok) forget(); // so that the next participant at this screen begins anew
    return reply.ok;
  } catch {
    return false;
  }
}

function download() {
  const url = URL.createObjectURL(new Blob([record()], { type: "application/json" }));
  element("a", { href: url, download: `answers-${session.participant}.json` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}
