// The labels of the page as a CSV file, and back; each can be given, moved to and taken back by keys alone.
const columns = ["label_picture", "label_text_painted_out", "label_text_alone"];
const done = document.getElementById("done");
const save = document.getElementById("save");
const resume = document.getElementById("resume");
const undo = document.getElementById("undo");
const progress = document.getElementById("progress");
const keyList = document.getElementById("keys");
const cards = [...document.querySelectorAll("article")].map((card) => ({
  card,
  id: JSON.parse(card.dataset.id),
  parts: [...card.querySelectorAll("[role=radiogroup]")],
  choices: columns.map((column) => [...card.querySelectorAll(`input[name^="${column}-"]`)]),
}));
const edits = []; // what was changed, the last at the end: the question and its label before
let given = new Map(); // question -> its label, to know what a change replaces
let at = null; // the question that keys answer: place of its picture times three plus its own
let unsaved = false;

const original = (cell) => (cell.startsWith("'") && formula.test(cell.slice(1)) ? cell.slice(1) : cell);

const labels = ({ choices }) => choices.map((inputs) => inputs.find((input) => input.checked)?.value ?? "");

const said = (word) => word.trim().toLowerCase().replace(/^no text$/, "none");

function count() {
  let ready = 0;
  for (const one of cards) {
    const [picture, without, alone] = labels(one);
    const complete = Boolean(picture && alone && (without || alone === "none"));
    one.card.classList.toggle("done", complete);
    ready += complete;
  }
  done.textContent = `${ready} of ${cards.length} labelled`;
  progress.max = cards.length;
  progress.value = ready;
  undo.disabled = edits.length === 0;
}

const inputs = (question) => cards[Math.floor(question / 3)].choices[question % 3];
const label = (question) => inputs(question).find((input) => input.checked)?.value ?? "";
const needed = (question) => !label(question) && !(question % 3 === 1 && label(question + 1) === "none");

function remember() {
  given = new Map(cards.flatMap((_, place) => [0, 1, 2].map((part) => [3 * place + part, label(3 * place + part)])));
}

function go(question) {
  if (!(question >= 0 && question < 3 * cards.length)) return;
  at = question;
  const { card, parts } = cards[Math.floor(question / 3)];
  card.scrollIntoView({ block: "nearest" });
  parts[question % 3].focus({ preventScroll: true });
  parts[question % 3].scrollIntoView({ block: "nearest" });
}

function changed(question) {
  edits.push([question, given.get(question)]);
  given.set(question, label(question));
  unsaved = true;
  count();
}

function answer(key) {
  const input = at === null ? null : inputs(at)[Number(key) - 1];
  if (!input) return;
  if (!input.checked) {
    input.checked = true;
    changed(at);
  }
  for (let next = at + 1; next < 3 * cards.length; next++) if (needed(next)) return go(next);
}

function takeBack() {
  if (!edits.length) return;
  const [question, before] = edits.pop();
  for (const input of inputs(question)) input.checked = input.value === before;
  given.set(question, before);
  unsaved = true;
  count();
  go(question);
}

const start = () => go(Math.max(0, [...given.keys()].findIndex(needed)));
const step = (by) => () => (at === null ? start() : go(at + by));
const keys = {
  ArrowRight: step(1),
  ArrowLeft: step(-1),
  j: step(3),
  ArrowDown: step(3),
  k: step(-3),
  ArrowUp: step(-3),
  z: takeBack,
  e: () => save.click(),
  "?": () => keyList.showModal(),
};
for (const key of "1234") keys[key] = () => answer(key);
document.addEventListener("keydown", (event) => {
  const elsewhere = event.ctrlKey || event.altKey || event.metaKey || event.target.closest?.("dialog, [type=file]");
  if (elsewhere || !Object.hasOwn(keys, event.key)) return;
  event.preventDefault(); // an arrow on a radio button would label
  keys[event.key]();
});

const written = () => csv([["id", ...columns], ...cards.map((one) => [one.id, ...labels(one)])]);

function read(text) {
  const first = text.split("\n", 1)[0];
  const between = first.split(";").length > first.split(",").length ? ";" : ","; // some spreadsheets write semicolons
  const cell = new RegExp(`(?:"((?:[^"]|"")*)"|([^${between}\r\n]*))(${between}|\r?\n|$)`, "g");
  const rows = [[]];
  for (const [, quoted, plain, end] of text.replace(/^\uFEFF/, "").matchAll(cell)) {
    rows.at(-1).push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end !== between) rows.push([]);
  }
  const head = rows.shift();
  const missing = ["id", ...columns].filter((column) => !head.includes(column));
  if (missing.length) return `It has no column ${missing.join(" and no ")}: nothing was read.`;
  const told = new Map(rows.map((row) => [original(row[head.indexOf("id")] ?? ""), row]));
  for (const one of cards) {
    const row = told.get(one.id);
    for (const [place, column] of row ? columns.entries() : []) {
      const word = said(row[head.indexOf(column)] ?? "");
      for (const input of one.choices[place]) input.checked = input.value === word;
    }
  }
  return "";
}

for (const [place, { card, parts, choices }] of cards.entries()) {
  for (const [part, group] of parts.entries()) {
    group.addEventListener("focusin", () => (at = 3 * place + part));
  }
  card.addEventListener("change", (event) => {
    changed(3 * place + choices.findIndex((of) => of.includes(event.target)));
  });
}
save.addEventListener("click", () => {
  download("labels.csv", "text/csv", written());
  unsaved = false;
});
undo.addEventListener("click", takeBack);
document.getElementById("help").addEventListener("click", keys["?"]);
resume.querySelector("input").addEventListener("change", async (event) => {
  const fault = read(await event.target.files[0].text());
  edits.length = 0;
  remember();
  count();
  if (fault) done.textContent = fault;
});
window.addEventListener("beforeunload", (event) => {
  if (unsaved) event.preventDefault();
});
new ResizeObserver(([bar]) => {
  document.documentElement.style.setProperty("--bar", `${bar.target.offsetHeight}px`);
}).observe(document.querySelector(".controls"));
for (const tool of document.querySelectorAll(".controls [hidden]")) tool.hidden = false;
remember();
count();
