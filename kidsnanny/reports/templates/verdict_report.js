"use strict";
// Sorting, and how many cards are shown. The filter itself is CSS and needs no script.
const list = document.getElementById("pictures");
const sort = document.getElementById("sort");
const shown = document.getElementById("shown");
const boxes = [...document.querySelectorAll(".controls input")];
const severity = ["unsafe", "review", "safe"];
const cards = [...list.children].map((card, order) => ({
  card,
  order,
  label: severity.indexOf(card.className),
  risk: card.dataset.risk === "" ? 2 : Number(card.dataset.risk), // nothing vouches for what has no score
  name: card.querySelector("h2 bdi").textContent,
}));
const names = new Intl.Collator(undefined, { numeric: true });
const orders = {
  order: () => 0,
  label: (a, b) => a.label - b.label || b.risk - a.risk,
  risk: (a, b) => b.risk - a.risk || a.label - b.label,
  name: (a, b) => names.compare(a.name, b.name),
};

function count() {
  const wanted = boxes.filter((box) => box.checked).map((box) => severity.indexOf(box.value));
  const visible = cards.filter((card) => wanted.includes(card.label)).length;
  shown.textContent = `${visible} of ${cards.length} shown`;
}

sort.addEventListener("change", () => {
  const sorted = document.createDocumentFragment();
  cards.sort((a, b) => orders[sort.value](a, b) || a.order - b.order);
  for (const { card } of cards) sorted.append(card);
  list.append(sorted);
});
for (const box of boxes) box.addEventListener("change", count);
sort.parentElement.hidden = false;
count();
