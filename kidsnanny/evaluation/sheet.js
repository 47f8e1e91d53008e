"use strict";
// The labels of the page as a CSV file, and back. Nothing is sent or kept.
const columns = ["label_picture", "label_text_painted_out", "label_text_alone"];
const done = document.getElementById("done");
const save = document.getElementById("save");
const resume = document.getElementById("resume");
const cards = [...document.querySelectorAll("article")].map((card) => ({
  card,
  id: JSON.parse(card.dataset.id),
  choices: columns.map((column) => [...card.querySelectorAll(`input[name^="${column}-"]`)]),
}));
let unsaved = false;

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
}

function written() {
  const quoted = (cell) => `"${cell.replaceAll('"', '""')}"`;
  const rows = [["id", ...columns], ...cards.map((one) => [one.id, ...labels(one)])];
  return rows.map((row) => `${row.map(quoted).join(",")}\r\n`).join("");
}

function read(text) {
  const rows = new Map();
  let row = [];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^,;\r\n]*))([,;]|\r?\n|$)/g)) {
    row.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end === "," || end === ";") continue;
    rows.set(row[0], row.slice(1));
    row = [];
  }
  for (const one of cards) {
    for (const [place, word] of (rows.get(one.id) ?? []).entries()) {
      for (const input of one.choices[place] ?? []) input.checked = input.value === said(word);
    }
  }
}

document.getElementById("candidates").addEventListener("change", () => {
  unsaved = true;
  count();
});
save.addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([written()], { type: "text/csv" }));
  link.download = "labels.csv";
  link.click();
  URL.revokeObjectURL(link.href);
  unsaved = false;
});
resume.querySelector("input").addEventListener("change", async (event) => {
  read(await event.target.files[0].text());
  count();
});
window.addEventListener("beforeunload", (event) => {
  if (unsaved) event.preventDefault();
});
save.hidden = resume.hidden = false;
count();
