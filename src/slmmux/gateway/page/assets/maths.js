// Text with LaTeX in it → texts and MathML. Temml reads the LaTeX; the elements are made here,
// from lists of what is allowed, so that neither its output nor a model's words become HTML.
import { Fragment, h } from "./dom.js";

const ELEMENTS = new Set(
  ("math mrow mi mo mn ms mtext mspace mfrac msqrt mroot mstyle merror mpadded mphantom msub msup msubsup " +
    "munder mover munderover mmultiscripts mprescripts none mtable mtr mtd menclose").split(" "),
);
const ATTRIBUTES = new Set(
  ("accent accentunder columnalign columnlines columnspacing depth display displaystyle fence form height " +
    "largeop linethickness lspace mathvariant maxsize minsize movablelimits notation rowlines rowspacing rspace " +
    "scriptlevel separator stretchy symmetric voffset width").split(" "),
);
const STYLES = new Set(
  ("backgroundColor border borderBottom borderColor borderLeft borderRight borderTop color display fontStyle " +
    "fontWeight padding paddingBottom paddingLeft paddingRight paddingTop textAlign width").split(" "),
);
const LONGEST = 2000;
export const MOST = 200; // in one text
const OPTIONS = { throwOnError: true, trust: false, maxExpand: 200, maxSize: [5, 20] };
// $…$ is mathematics only where it looks like it: "$5 and $6" is money.
// The bounds keep the search for an end short, however a text tries to make it long.
export const FORMULA =
  /\$\$([\s\S]{1,2000}?)\$\$|\\\[((?:(?!\\\[)[\s\S]){1,2000}?)\\\]|\\\(((?:(?!\\\()[\s\S]){1,2000}?)\\\)|\$(?![\s$])((?:\\.|[^$\\\n]){1,2000}?)(?<!\s)\$(?!\d)|(\\boxed\{(?:[^{}]|\{(?:[^{}]|\{[^{}]{0,200}\}){0,200}\}){1,500}\})/g;
const DELIMITED = /^(?:\$\$([^]*)\$\$|\\\[([^]*)\\\]|\\\(([^]*)\\\)|\$([^]*)\$)$/;

// A node of Temml's tree → ours. Groups and links have no element of their own: their content stays.
function copied(node) {
  if (typeof node.text === "string") return node.text;
  const inside = (node.children ?? []).map(copied);
  return ELEMENTS.has(node.type) ? h(node.type, properties(node), inside) : h(Fragment, null, inside);
}

function properties({ classes, attributes, style }) {
  const among = (allowed, pairs) =>
    Object.entries(pairs ?? {}).filter(([name]) => allowed.has(name)).map(([name, value]) => [name, String(value)]);
  return {
    ...Object.fromEntries(among(ATTRIBUTES, attributes)),
    class: (classes ?? []).filter((name) => /^[a-z-]+$/i.test(name)).join(" ") || undefined,
    style: Object.fromEntries(among(STYLES, style)),
  };
}

// MathML of a formula; null where it is none that can be read.
export function formula(tex, displayMode = false) {
  if (tex.length > LONGEST) return null;
  try {
    return copied(globalThis.temml.__renderToMathMLTree(tex, { ...OPTIONS, displayMode }));
  } catch {
    return null; // what cannot be read is shown as it was written
  }
}

// What stands between signs that delimit a formula, drawn; a wide one scrolls on its own.
export function drawn(text) {
  const bare = text.trim();
  const found = DELIMITED.exec(bare) ?? [];
  const displayed = found[1] ?? found[2] ?? (bare.startsWith("\\begin") ? bare : undefined);
  const maths = formula(displayed ?? found[3] ?? found[4] ?? bare, displayed !== undefined);
  return maths && displayed !== undefined ? h("span", { class: "formula" }, maths) : maths;
}

// Texts and formulas.
export function pieces(text) {
  const parts = [];
  let end = 0;
  let count = 0;
  for (const found of text.matchAll(FORMULA)) {
    const maths = (count += 1) > MOST ? null : drawn(found[0]);
    if (maths === null) continue;
    const before = text.slice(end, found.index);
    end = found.index + found[0].length;
    const broken = maths.props.class === "formula"; // it breaks the line itself
    parts.push(broken ? before.replace(/\n$/, "") : before, maths);
    if (broken && text[end] === "\n") end += 1;
  }
  return [...parts, text.slice(end)];
}

// An answer: a formula where it is written as one.
export function answered(text) {
  const bare = /[\\^_]/.test(text) && !/[$]|\\\(|\\\[/.test(text) ? formula(text) : null;
  return bare === null ? pieces(text) : [bare];
}
