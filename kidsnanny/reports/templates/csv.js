"use strict";
// Cells of a CSV file, and files that the browser saves. Nothing is sent.

// A cell that a spreadsheet might take for a formula stands behind a single quote, as in sheet.csv.
const formula = /^(?:'*[\s"\u200b\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20|%]|'*[\t\r\n])/;
const plain = (cell) => (formula.test(cell) ? `'${cell}` : cell);

function csv(rows) {
  const quoted = (cell) => `"${plain(cell).replaceAll('"', '""')}"`;
  return rows.map((row) => `${row.map(quoted).join(",")}\r\n`).join("");
}

function download(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
