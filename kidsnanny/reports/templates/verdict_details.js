// One verdict as elements. What is in it is untrusted: it becomes text nodes and numbers, never markup.
const LONGEST = 480; // longest side of a thumbnail, in pixels of the page
const REASONS = 12; // more are folded away
const index = JSON.parse(document.getElementById("index").textContent);

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}
const el = (name, attributes = {}, ...children) => filled(document.createElement(name), attributes, children);
const svg = (name, attributes = {}, ...children) =>
  filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
const bdi = (text) => el("bdi", {}, text);
const quiet = (...children) => el("span", { class: "quiet" }, ...children);
const fold = (summary, ...children) => el("details", {}, el("summary", {}, summary), ...children);
const list = (name, items, attributes = {}) =>
  el(name, attributes, ...items.map((item) => (item instanceof Element ? item : el("li", {}, bdi(item)))));
const said = (score) => (score === null ? "–" : score.toFixed(2));

function canvas([width, height, packed]) {
  const made = el("canvas", { width, height, class: "mosaic" });
  const pixels = new ImageData(width, height);
  const bytes = atob(packed);
  for (let at = 0; at < width * height; at++) {
    for (let part = 0; part < 3; part++) pixels.data[4 * at + part] = bytes.charCodeAt(3 * at + part);
    pixels.data[4 * at + 3] = 255;
  }
  made.getContext("2d").putImageData(pixels, 0, 0);
  return made;
}

function picture(row) {
  if (row.uri === undefined) return canvas(row.mosaic);
  return row.uri.startsWith("data:image/jpeg;base64,") ? el("img", { src: row.uri, alt: "", decoding: "async" }) : null;
}

function drawn({ kind, title, box, path, label }) {
  const area = box && { x: box[0], y: box[1], width: box[2] - box[0], height: box[3] - box[1] };
  const group = svg("g", { class: kind });
  if (title !== undefined) group.append(svg("title", {}, title));
  if (area) group.append(svg("rect", area), svg("rect", { ...area, class: "ink" }));
  if (path !== undefined) group.append(svg("path", { d: path }), svg("path", { d: path, class: "ink" }));
  if (label) {
    const [anchor, x, y, size, text, below, small] = label;
    const under = below === undefined ? null : svg("tspan", { x, dy: small, "font-size": small }, below);
    group.append(svg("text", { x, y, "font-size": size, "text-anchor": anchor }, text, under));
  }
  return group;
}

function figure(row, isText) {
  if (isText) return el("figure", {}, list("ol", (row.text ?? []).map(([text]) => text), { class: "said" }));
  if (!row.size) return el("figure", {}, el("p", { class: "placeholder" }, "No thumbnail. ", bdi(row.lost ?? "")));
  const [width, height] = row.size;
  const kind = index.originals ? "Reduced" : "Mosaicked";
  const which = row.frames > 1 ? `, frame ${row.frame}` : "";
  const shown = picture(row);
  const larger = LONGEST / Math.max(width, height);
  shown.style.width = `${Math.max(1, Math.round(width * larger))}px`;
  shown.style.height = "auto";
  shown.style.aspectRatio = `${width} / ${height}`;
  shown.setAttribute("role", "img");
  shown.setAttribute("aria-label", `${kind} thumbnail of picture ${row.n}${which}`);
  const here = (one) => one[2] === row.frame;
  const seen = (row.seen ?? []).filter((one) => here(one) && one.length > 4);
  const read = (row.text ?? []).filter(here);
  const over = svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  for (const [what, score, , , ...box] of seen) over.append(drawn({ kind: "image", title: `${what} ${said(score)}`, box }));
  for (const [text, sure, , , ...box] of read) over.append(drawn({ kind: "text", title: `${text} ${said(sure)}`, box }));
  for (const mark of row.marks ?? []) over.append(drawn(mark));
  const caption = el("figcaption", { class: "quiet" }, `${kind}${which}, ${width}×${height} pixels`);
  return el("figure", {}, el("div", { class: "frame" }, shown, over), caption);
}

function reason(one) {
  const item = el("li", {}, bdi(one.is));
  if (one.said) {
    const words = one.said.split(/\s+/).flatMap((word) => [
      one.words?.includes(word) ? el("mark", {}, bdi(word)) : bdi(word),
      " ",
    ]);
    item.append(el("p", { class: "said" }, ...words));
  }
  return item;
}

const aside = (score, frame, model) =>
  quiet(` ${said(score)}${frame ? `, frame ${frame}` : ""}`, model ? ", " : null, model ? bdi(model) : null);
const titled = (title, items) => (items ? [el("h3", {}, title), list("ul", items)] : []);

function grounds(row, made, isText) {
  const reasons = (row.reasons ?? []).map(reason);
  const more = reasons.slice(REASONS);
  const kinds = { code: "QR code: ", column: "Downwards: " };
  const lines = (row.text ?? []).map(([text, sure, frame, kind]) =>
    el("li", {}, kinds[kind] ?? "", bdi(text), aside(sure, frame)),
  );
  const seen = (row.seen ?? []).map(([what, score, frame, model]) =>
    el("li", {}, bdi(what), aside(score, frame, model)),
  );
  const captions = (row.captions ?? []).map(([caption, frame]) =>
    el("p", {}, `The student's caption${frame ? `, frame ${frame}` : ""}: `, bdi(caption)),
  );
  const rests = [...made.rests, ["SHA-256", row.sha ?? "unknown: it could not be read"], ["time", row.times ?? "–"]];
  const nothing = `Nothing in ${row.missed ? "what could be inspected" : "it"} reached a threshold.`;
  return el(
    "div",
    {},
    el("h3", {}, "Why"),
    reasons.length ? list("ol", reasons.slice(0, REASONS)) : el("p", {}, nothing),
    more.length ? fold(`${more.length} more`, list("ol", more, { start: REASONS + 1 })) : null,
    row.explanation ? el("p", {}, "The judge says: ", bdi(row.explanation)) : null,
    ...titled("Not inspected", row.missed),
    ...titled("Noted", row.noted),
    ...titled("Also in the file", row.remarks),
    made.lacking.length
      ? el("p", {}, el("strong", {}, `Not looked for${isText ? "" : " in the picture"}: `), `${made.lacking.join(", ")}.`)
      : null,
    made.ignored.length ? el("p", {}, el("strong", {}, "Ignored by this policy: "), `${made.ignored.join(", ")}.`) : null,
    lines.length && !isText
      ? fold(`Text read in it (${lines.length} line${lines.length === 1 ? "" : "s"})`, list("ol", lines))
      : null,
    seen.length || captions.length
      ? fold(`What the models saw (${seen.length})`, list("ul", seen), ...captions)
      : null,
    fold("What this rests on", el("dl", {}, ...rests.flatMap(([key, value]) => [
      el("dt", {}, bdi(key.replaceAll("_", " "))),
      el("dd", {}, bdi(value)),
    ]))),
  );
}

function scores(row, made) {
  if (!row.scores) return el("div", {}, el("h3", {}, "Scores"), el("p", {}, "None: nothing could be looked for."));
  const channels = ["image", "text", "judge"].filter((_, at) => row.scores.some((one) => one[2 + at] !== null));
  const heads = ["category", "score", ...channels].map((head) => el("th", { scope: "col" }, head));
  const rows = row.scores.map(([number, final, image, text, judge]) => {
    const category = index.categories[number];
    const limits = made.thresholds[category]; // an ignored category has none
    const [review, block] = limits ?? [1, 1];
    const meter = el("meter", { value: final, low: review, high: block, optimum: 0, "aria-hidden": "true" });
    const by = { image, text, judge };
    return el(
      "tr",
      limits && final >= review ? { class: "flagged" } : {},
      el("th", { scope: "row" }, category),
      el("td", {}, meter, ` ${said(final)}`),
      ...channels.map((channel) => el("td", {}, said(by[channel]))),
    );
  });
  const table = el("table", {}, el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, ...rows));
  return el("div", {}, el("h3", {}, "Scores"), table);
}
