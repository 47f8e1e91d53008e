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

// A cell that a spreadsheet might take for a formula stands behind a single quote, as in sheet.csv.
const formula = /^(?:'*[\s"\u200b\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20|%]|'*[\t\r\n])/;
const plain = (cell) => (formula.test(cell) ? `'${cell}` : cell);
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
}

function written() {
  const quoted = (cell) => `"${plain(cell).replaceAll('"', '""')}"`;
  const rows = [["id", ...columns], ...cards.map((one) => [one.id, ...labels(one)])];
  return rows.map((row) => `${row.map(quoted).join(",")}\r\n`).join("");
}

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
  const given = new Map(rows.map((row) => [original(row[head.indexOf("id")] ?? ""), row]));
  for (const one of cards) {
    const row = given.get(one.id);
    for (const [place, column] of row ? columns.entries() : []) {
      const word = said(row[head.indexOf(column)] ?? "");
      for (const input of one.choices[place]) input.checked = input.value === word;
    }
  }
  return "";
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
  const fault = read(await event.target.files[0].text());
  count();
  if (fault) done.textContent = fault;
});
window.addEventListener("beforeunload", (event) => {
  if (unsaved) event.preventDefault();
});
save.hidden = resume.hidden = false;
count();
