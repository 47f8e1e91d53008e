// The list of verdicts: rows are drawn when they come into view, and dropped when they are far from it.
const CHUNK = 40; // rows that are drawn together
const byId = (id) => document.getElementById(id);
const main = byId("pictures");
const blocks = [...document.querySelectorAll("script.rows")];
const lines = new Map();

function row(at) {
  const block = Math.floor(at / index.block);
  if (!lines.has(block)) lines.set(block, blocks[block].textContent.split("\n"));
  return JSON.parse(lines.get(block)[at % index.block]);
}

// What a verdict can be found by, made when it is first needed or while nothing else is to do.
const haystacks = [];
function haystack(at) {
  return (haystacks[at] ??= (() => {
    const one = row(at);
    const reasons = (one.reasons ?? []).flatMap((reason) => [reason.is, reason.said ?? ""]);
    const text = (one.text ?? []).map(([line]) => line);
    const rest = [one.missed, one.noted, one.remarks].flatMap((given) => given ?? []);
    return [one.name, one.raw ?? "", ...reasons, ...text, ...rest, one.explanation ?? ""].join("\n").toLowerCase();
  })());
}

const marks = new Map(); // place of a row -> "false alarm" or "follow-up"
const opened = new Set();
let unsaved = false;
let current = null; // place of the row that the keys act on

const names = new Intl.Collator(undefined, { numeric: true });
const called = [];
const orders = {
  strength: (a, b) => a - b,
  given: (a, b) => index.rows[a][0] - index.rows[b][0],
  name: (a, b) => names.compare((called[a] ??= row(a).name), (called[b] ??= row(b).name)) || a - b,
};

const groups = index.labels.map((label, number) => {
  const button = el("button", { type: "button", class: "group" });
  const body = el("div");
  const section = el("section", { class: label, "aria-label": label }, el("h2", {}, button), body);
  const all = index.rows.flatMap((one, at) => (one[1] === number ? [at] : []));
  const group = { label, button, body, section, all, rows: [], chunks: [], open: label !== "safe" };
  button.addEventListener("click", () => {
    group.open = !group.open;
    draw(group);
  });
  return group;
});
const flagged = index.rows.length - groups.at(-1).all.length;
groups.at(-1).open = flagged === 0;
if (index.rows.length <= 12) for (let at = 0; at < flagged; at++) opened.add(at);

function chip(at, node) {
  const kind = marks.get(at) ?? "";
  node.querySelector(".mark").textContent = kind;
  for (const button of node.querySelectorAll("[data-mark]")) {
    button.setAttribute("aria-pressed", String(button.dataset.mark === kind));
  }
}

function toggleMark(at, kind) {
  if (marks.get(at) === kind) marks.delete(at);
  else marks.set(at, kind);
  unsaved = marks.size > 0;
  byId("marked").textContent = `${marks.size} marked`;
  const node = nodeOf(at);
  if (node) chip(at, node);
}

function details(at) {
  const one = row(at);
  const [, , madeAt, , , isText] = index.rows[at];
  const made = index.made[madeAt];
  const buttons = ["false alarm", "follow-up"].map((kind) => {
    const button = el("button", { type: "button", "data-mark": kind, "aria-pressed": "false" }, kind);
    button.addEventListener("click", () => toggleMark(at, kind));
    return button;
  });
  const highest = one.risk === undefined ? "unknown" : one.risk.toFixed(2);
  const what = `${isText ? "Text" : "Picture"} ${one.n}. ${one.action}. Highest score: ${highest}. `;
  const columns = el("div", { class: "columns" }, figure(one, isText), grounds(one, made, isText), scores(one, made));
  return el("div", { class: "details", id: `details-${one.n}` }, el("p", { class: "quiet" }, what, "Mark: ", ...buttons), columns);
}

function article(at) {
  const one = row(at);
  const label = index.labels[index.rows[at][1]];
  const [first] = one.reasons ?? [];
  const why = first?.is ?? one.missed?.[0] ?? one.noted?.[0] ?? "";
  const small = one.mosaic || one.uri ? picture(one) : el("span");
  small.classList.add("small");
  small.setAttribute("aria-hidden", "true");
  const button = el(
    "button",
    { type: "button", class: "row", "aria-expanded": "false", "aria-controls": `details-${one.n}` },
    small,
    el("span", { class: "badge" }, label),
    el("span", { class: "name" }, bdi(one.name)),
    el("span", { class: "why quiet" }, bdi(why)),
    el("span", { class: "mark" }),
    el("span", { class: "risk" }, one.risk === undefined ? "–" : one.risk.toFixed(2)),
  );
  const made = el("article", { id: `picture-${one.n}`, class: label, "data-at": at }, el("h3", {}, button));
  button.addEventListener("click", () => {
    current = at;
    if (opened.has(at)) opened.delete(at);
    else opened.add(at);
    expand(at, made);
  });
  button.addEventListener("focus", () => (current = at));
  expand(at, made);
  return made;
}

function expand(at, node) {
  node.querySelector(".details")?.remove();
  if (opened.has(at)) node.append(details(at));
  node.querySelector("button.row").setAttribute("aria-expanded", String(opened.has(at)));
  chip(at, node);
}

const nodeOf = (at) => byId(`picture-${index.rows[at][0]}`);

let height = 66; // of a closed row; measured when one is drawn
function fill(chunk) {
  if (chunk.full) return;
  chunk.full = true;
  chunk.node.style.height = "";
  chunk.node.replaceChildren(...chunk.rows.map(article));
}
function empty(chunk) {
  if (!chunk.full || chunk.node.contains(document.activeElement)) return;
  chunk.full = false;
  chunk.node.style.height = `${chunk.node.offsetHeight}px`;
  chunk.node.replaceChildren();
}
const watch = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      const chunk = drawnChunks.get(target);
      if (chunk) (isIntersecting ? fill : empty)(chunk);
    }
  },
  { rootMargin: "1500px 0px" },
);
const drawnChunks = new Map();

function draw(group) {
  for (const chunk of group.chunks) {
    watch.unobserve(chunk.node);
    drawnChunks.delete(chunk.node);
  }
  group.chunks = [];
  const some = group.rows.length > 0;
  const count = group.rows.length === group.all.length ? "" : ` of ${group.all.length}`;
  group.button.textContent = `${group.label}: ${group.rows.length}${count}`;
  group.button.setAttribute("aria-expanded", String(group.open && some));
  group.section.hidden = !some;
  for (let from = 0; group.open && from < group.rows.length; from += CHUNK) {
    const chunk = { rows: group.rows.slice(from, from + CHUNK), node: el("div", { class: "chunk" }), full: false };
    chunk.node.style.height = `${chunk.rows.length * height}px`;
    group.chunks.push(chunk);
    drawnChunks.set(chunk.node, chunk);
  }
  group.body.replaceChildren(...group.chunks.map((chunk) => chunk.node));
  if (group.chunks.length) fill(group.chunks[0]);
  for (const chunk of group.chunks) watch.observe(chunk.node);
}

const controls = byId("controls");
const search = byId("search");
const chosen = { category: byId("category"), cause: byId("cause"), policy: byId("policy") };
const boxes = [...controls.querySelectorAll("fieldset input")];
const only = byId("only-marked");
const sort = byId("sort");

function apply() {
  const terms = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const number = (select) => (select.value === "" ? null : Number(select.value));
  const [category, cause] = [number(chosen.category), number(chosen.cause)];
  const policy = chosen.policy?.value ?? "";
  const fits = (at) => {
    const [, , made, categories, causes] = index.rows[at];
    return (
      (category === null || categories.includes(category)) &&
      (cause === null || causes.includes(cause)) &&
      (!policy || index.made[made].policy === policy) &&
      (!only.checked || marks.has(at)) &&
      terms.every((term) => haystack(at).includes(term))
    );
  };
  let shown = 0;
  for (const [place, group] of groups.entries()) {
    group.rows = boxes[place].checked ? group.all.filter(fits).sort(orders[sort.value]) : [];
    shown += group.rows.length;
    draw(group);
  }
  byId("shown").textContent = `${shown} of ${index.rows.length} ${index.noun}s`;
}

// Drawing a far row needs its chunk, and leaves the others as they are.
function go(at) {
  const group = groups[index.rows[at][1]];
  if (!group.open) {
    group.open = true;
    draw(group);
  }
  fill(group.chunks[Math.floor(group.rows.indexOf(at) / CHUNK)]);
  current = at;
  const button = nodeOf(at).querySelector("button.row");
  button.focus({ preventScroll: true });
  button.scrollIntoView({ block: "nearest" });
}

function step(by) {
  const reachable = groups.filter((group) => group.open).flatMap((group) => group.rows);
  const place = reachable.indexOf(current);
  const next = reachable[place === -1 ? 0 : place + by];
  if (next !== undefined) go(next);
}

function linked() {
  const at = index.rows.findIndex(([number]) => location.hash === `#picture-${number}`);
  if (at === -1) return;
  if (!groups[index.rows[at][1]].rows.includes(at)) {
    search.value = "";
    for (const select of Object.values(chosen)) if (select) select.value = "";
    for (const box of boxes) box.checked = true;
    only.checked = false;
    apply();
  }
  opened.add(at);
  go(at);
  expand(at, nodeOf(at));
}

const keys = {
  j: () => step(1),
  k: () => step(-1),
  f: () => current !== null && toggleMark(current, "false alarm"),
  u: () => current !== null && toggleMark(current, "follow-up"),
  "/": () => search.focus(),
  "?": () => byId("keys").showModal(),
  Enter: () => current !== null && document.activeElement === document.body && go(current),
};
document.addEventListener("keydown", (event) => {
  const field = event.target.closest?.("input:not([type=checkbox]), select, textarea, dialog");
  if (field && event.key === "Escape") field.blur?.();
  if (field || event.ctrlKey || event.altKey || event.metaKey || !Object.hasOwn(keys, event.key)) return;
  if (event.key !== "Enter") event.preventDefault();
  keys[event.key]();
});

const chosenRows = () => [...marks].sort(([a], [b]) => a - b).map(([at, mark]) => ({ ...row(at), at, mark }));
byId("csv").addEventListener("click", () => {
  const found = chosenRows().map((one) => [one.raw ?? one.name, index.labels[index.rows[one.at][1]], one.mark]);
  download("marked.csv", "text/csv", csv([["name", "label", "mark"], ...found]));
  unsaved = false;
});
byId("json").addEventListener("click", () => {
  const found = chosenRows().map((one) => ({
    name: one.raw ?? one.name,
    label: index.labels[index.rows[one.at][1]],
    mark: one.mark,
    sha256: one.sha ?? null,
  }));
  download("marked.json", "application/json", `${JSON.stringify(found, null, 1)}\n`);
  unsaved = false;
});
window.addEventListener("beforeunload", (event) => {
  if (unsaved) event.preventDefault();
});
window.addEventListener("beforeprint", () => drawnChunks.forEach(fill));
window.addEventListener("hashchange", linked);
byId("help").addEventListener("click", keys["?"]);
search.addEventListener("input", apply);
for (const input of [...boxes, only, sort, ...Object.values(chosen)]) input?.addEventListener("change", apply);
for (const button of document.querySelectorAll("button[data-cause]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    chosen.cause.value = button.dataset.cause;
    for (const box of boxes) box.checked = box.value === "review";
    apply();
    main.scrollIntoView();
  });
}

controls.hidden = false;
byId("filters").open = matchMedia("(min-width: 46rem)").matches;
main.append(...groups.map((group) => group.section));
apply();
new ResizeObserver(() => {
  document.documentElement.style.setProperty("--bar", `${controls.offsetHeight}px`);
}).observe(controls);
const sample = main.querySelector("article:not(:has(.details))");
if (sample) {
  height = sample.offsetHeight + parseFloat(getComputedStyle(sample).marginBottom);
  groups.forEach(draw);
}
linked();

if (window.requestIdleCallback) {
  let next = 0;
  const prepare = (deadline) => {
    while (next < index.rows.length && deadline.timeRemaining() > 1) haystack(next++);
    if (next < index.rows.length) requestIdleCallback(prepare);
  };
  requestIdleCallback(prepare);
}
