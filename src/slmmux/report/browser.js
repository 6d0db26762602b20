// Every question: a list with filters; details are unpacked when a question is opened.
const RIGHT = 1, ORACLE = 2, DISAGREE = 4, ABSTAINED = 8, HIDDEN = 16;
const FILTERS = [
  ["all questions", () => true],
  ["SLM-MUX wrong, some model right", (flags) => !(flags & RIGHT) && flags & ORACLE],
  ["models disagree", (flags) => flags & DISAGREE],
  ["no answer (abstained)", (flags) => flags & ABSTAINED],
  ["SLM-MUX wrong", (flags) => !(flags & RIGHT)],
  ["SLM-MUX right", (flags) => flags & RIGHT],
  ["no model right", (flags) => !(flags & ORACLE)],
];
const PAGE = 50;
const MATHML = "http://www.w3.org/1998/Math/MathML";
const ELEMENTS = new Set("math mrow mi mn mo mtext mspace mfrac msqrt mroot msub msup msubsup munder mover munderover mmultiscripts mprescripts mtable mtr mtd mlabeledtr mstyle mpadded mphantom menclose".split(" "));

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

const index = await unpack(byId("index").textContent);
const size = Number(byId("index").dataset.size);
const packedBlocks = document.querySelectorAll("script.block");
const blocks = new Map();
const opened = (row) => {
  const number = Math.floor(row / size);
  if (!blocks.has(number)) blocks.set(number, unpack(packedBlocks[number].textContent));
  return blocks.get(number).then((block) => block[row % size]);
};

function tree([name, attributes, ...children]) {
  if (!ELEMENTS.has(name)) return document.createTextNode("");
  const element = document.createElementNS(MATHML, name);
  for (const [key, value] of Object.entries(attributes)) {
    if (/^[a-z]+$/.test(key) && !key.startsWith("on") && key !== "style" && key !== "href") element.setAttribute(key, value);
  }
  element.append(...children.map((child) => (typeof child === "string" ? child : tree(child))));
  return element;
}

function nodes(text) {
  if (text === null) return [];
  if (typeof text === "string") return [text];
  return text.map((piece) => {
    if (typeof piece === "string") return piece;
    const [source, math] = index.formulas[piece];
    const element = tree(math);
    element.setAttribute("title", source);
    return element;
  });
}

const plain = (text) =>
  text === null ? "" : typeof text === "string" ? text : text.map((p) => (typeof p === "string" ? p : index.formulas[p][0])).join("");

function verdict(flags, picked) {
  if (flags & ABSTAINED) return ["none", "– none"];
  return flags & RIGHT ? ["right", "✓ right"] : ["wrong", flags & ORACLE ? "✗ missed" : "✗ wrong"];
}

function item(row) {
  const [name, , flags, text] = index.rows[row];
  const [kind, word] = verdict(flags);
  const title = flags & HIDDEN ? "(hidden: its authors ask that it is not published)" : plain(text) || name;
  const details = make("details", { class: "q", "data-row": row },
    make("summary", {}, make("span", { class: `mark ${kind}` }, word),
      make("span", { class: "text" }, title.slice(0, 300)), make("span", { class: "name" }, title === name ? "" : name)));
  details.addEventListener("toggle", async () => {
    if (details.open && !details.querySelector(".body")) details.append(body(row, await opened(row)));
  });
  return details;
}

function answer(answers, right, number) {
  if (number < 0) return make("span", { class: "chip none" }, "no answer");
  const ok = right.includes(number);
  return make("span", { class: `chip ${ok ? "right" : ""}`, title: plain(answers[number]) }, ok ? "✓ " : "", ...nodes(answers[number]));
}

function body(row, [answers, right, modes, leads, votes, pooled, draws, texts]) {
  const [name, , flags, text, choices, reference, picked, decider] = index.rows[row];
  const chip = (number) => answer(answers, right, number);
  const made = make("div", { class: "body" });
  if (text !== null) made.append(make("p", { class: "asked" }, ...nodes(text)));
  if (choices.length) made.append(make("ol", { class: "choices", type: "A" }, ...choices.map((choice) => make("li", {}, ...nodes(choice)))));
  const facts = make("p", {}, "SLM-MUX: ", chip(picked));
  if (decider >= 0) facts.append(` from ${index.models[decider]}, ${leads[decider]} of ${index.k} votes. `);
  facts.append("Pooled vote: ", chip(pooled));
  if (reference !== null) facts.append(" Reference: ", make("span", { class: "chip" }, ...nodes(reference)));
  made.append(facts, make("p", { class: "note" }, draws === null ? name : `${name}. Exact stopping needs ${draws} of ${index.k * index.models.length} samples.`));
  if (text === null && !(flags & HIDDEN)) made.append(make("p", { class: "note" }, "The bank does not hold this question's text."));
  const order = index.models.map((_, model) => model);
  made.append(make("div", { class: "votes", tabindex: 0 }, make("table", {},
    make("thead", {}, make("tr", {}, ...["model", "most common", "votes", "every sample"].map((h, i) => make("th", { class: i === 2 ? null : "word", scope: "col" }, h)))),
    make("tbody", {}, ...order.map((model) => make("tr", { class: model === decider ? "chosen" : null },
      make("th", { scope: "row" }, index.models[model]),
      make("td", { class: "word" }, chip(modes[model])),
      make("td", {}, `${leads[model]} of ${index.k}`),
      make("td", { class: "word" }, ...votes[model].map(chip))))))));
  if (texts) for (const model of order) {
    const said = texts[model].map((reply, i) => [reply, i]).filter(([reply]) => reply !== null);
    if (!said.length) continue;
    const replies = make("details", {}, make("summary", {}, `${index.models[model]}: ${said.length} ${said.length === 1 ? "reply" : "replies"}`));
    replies.addEventListener("toggle", () => replies.append(...said.map(([reply, i]) =>
      make("div", { class: "reply" }, make("b", {}, `sample ${i}\n`), ...nodes(reply)))), { once: true });
    made.append(replies);
  }
  return made;
}

let found = [], shown = 0;
function more() {
  byId("list").append(...found.slice(shown, shown + PAGE).map(item));
  shown = Math.min(shown + PAGE, found.length);
  byId("more").hidden = shown >= found.length;
}

const searched = index.rows.map(() => null);
function search() {
  const [, passes] = FILTERS[byId("filter").selectedIndex];
  const task = byId("task").selectedIndex - 1;
  const wanted = byId("find").value.trim().toLowerCase();
  found = [];
  index.rows.forEach(([name, of, flags, text, choices, reference], row) => {
    if (!passes(flags) || (task >= 0 && of !== task)) return;
    searched[row] ??= [name, plain(text), ...choices.map(plain), plain(reference)].join("\n").toLowerCase();
    if (searched[row].includes(wanted)) found.push(row);
  });
  byId("count").textContent = `${found.length.toLocaleString("en")} of ${index.rows.length.toLocaleString("en")} questions`;
  byId("list").replaceChildren();
  shown = 0;
  more();
}

byId("filter").append(...FILTERS.map(([label]) => make("option", {}, label)));
byId("task").append(make("option", {}, "all"), ...index.tasks.map((task) => make("option", {}, task)));
byId("tasks").hidden = index.tasks.length < 2;
byId("filter").addEventListener("change", search);
byId("task").addEventListener("change", search);
byId("more").addEventListener("click", more);
let typing = 0;
byId("find").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(search, 120); });
document.querySelector(".filters").addEventListener("submit", (event) => event.preventDefault());
search();
