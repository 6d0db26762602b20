// A reply in Markdown with LaTeX → elements. Marked reads it; the elements are made here, of the few
// kinds below. What would be HTML, links or pictures is no such kind: it is shown as it was written.
import { Fragment, h } from "./dom.js";
import { FORMULA, MOST, drawn } from "./maths.js";
import { Marked, Tokenizer } from "./vendor/marked.esm.js";

const LONGEST = 60_000;
const DEEPEST = 30;
// Alone on its lines; within them what looks like a list or a heading is none.
const DISPLAY = /^ {0,8}(?:\$\$[\s\S]{1,2000}?\$\$|\\\[(?:(?!\\\[)[\s\S]){1,2000}?\\\]|\\begin\{(\w{1,20}\*?)\}[\s\S]{1,2000}?\\end\{\1\})[ \t]*(?:\n|$)/;
const OPENING = /\n {0,8}(?:\$\$|\\\[|\\begin\{)/;
const AT = new RegExp(FORMULA.source, "y");
const none = () => undefined;
const CJK = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/u;
const OPERAND = /[\p{L}\p{N})\]}]/u; // beside an asterisk: a product, a power, or a name
const isOperand = (sign) => OPERAND.test(sign) && !CJK.test(sign);
const said = (raw) => ({ type: "text", raw, text: raw });

// Where Markdown would take signs away from mathematics or code, or hide what was written.
const tokenizer = {
  html: none,
  tag: none,
  link: none,
  reflink: none,
  def: none,
  url: none,
  autolink: none,
  code: none, // indented: models indent formulas
  lheading: none, // a line below a text: a sum's, or the end of a part
  escape(src) {
    const found = /^\\([*_`~|>#+.$-])/.exec(src);
    return found ? { type: "escape", raw: found[0], text: found[1] } : undefined;
  },
  emStrong(src, masked, before = "") {
    const run = /^\**/.exec(src)[0];
    if (run && isOperand(before)) return said(run); // 2*3*4, x**2
    const token = Tokenizer.prototype.emStrong.call(this, src, masked, before);
    if (token && /^__\w+__$/.test(token.raw)) return said(token.raw); // __init__
    return token && run && token.type === "em" && isOperand(src[token.raw.length] ?? "") ? said(run) : token;
  },
  del(src, masked, before) {
    return src.startsWith("~~") ? Tokenizer.prototype.del.call(this, src, masked, before) : undefined; // ~5 is about 5
  },
  list(src) {
    if (/^ {0,3}\+/.test(src)) return undefined; // a sum in columns
    const token = Tokenizer.prototype.list.call(this, src);
    return token?.items.some(({ text }) => text.trim()) ? token : undefined; // "42." is a number
  },
};

let formulas = 0; // of this text
const formula = (found) => {
  const node = found && (formulas += 1) <= MOST && drawn(found[0]);
  return node ? { type: "formula", raw: found[0], node } : undefined;
};
const extensions = [
  {
    name: "display",
    level: "block",
    start: (src) => OPENING.exec(src)?.index,
    tokenizer: (src) => formula(DISPLAY.exec(src)),
  },
  {
    name: "formula",
    level: "inline",
    start: (src) => src.indexOf("$"), // Marked stops at a backslash of its own accord
    tokenizer(src) {
      AT.lastIndex = 0;
      return formula(AT.exec(src));
    },
  },
];
// What is in a formula is no emphasis.
const hooks = { emStrongMask: (src) => src.replace(FORMULA, (text) => "a".repeat(text.length)) };
const marked = new Marked({ tokenizer, extensions, hooks });

const within = (token, depth) => (token.tokens ? nodes(token.tokens, depth + 1) : [token.text]);
const block = (name) => (token, depth) => h(name, { dir: "auto" }, within(token, depth));
const inline = (name) => (token, depth) => h(name, null, within(token, depth));
const row = (name, cells, depth) =>
  h("tr", null, cells.map((cell) => h(name, { dir: "auto", class: cell.align ?? undefined, scope: name === "th" ? "col" : undefined }, within(cell, depth))));
// As it was counted in the reply; lists of Markdown count on from their first number.
const item = (token, ordered, depth) =>
  h("li", { dir: "auto", value: ordered ? Number(/\d+/.exec(token.raw)?.[0]) : undefined }, within(token, depth));

const MADE = {
  paragraph: block("p"),
  heading: (token, depth) => block(`h${Math.min(token.depth + 3, 6)}`)(token, depth),
  blockquote: block("blockquote"),
  list: (token, depth) => h(token.ordered ? "ol" : "ul", null, token.items.map((one) => item(one, token.ordered, depth))),
  table: (token, depth) =>
    h("div", { class: "wide", tabIndex: 0, role: "region", "aria-label": "Table" }, h("table", null,
      h("thead", null, row("th", token.header, depth)),
      h("tbody", null, token.rows.map((cells) => row("td", cells, depth))))),
  code: ({ text }) => h("pre", null, h("code", null, text)),
  hr: () => h("hr"),
  space: () => null,
  checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
  strong: inline("strong"),
  em: inline("em"),
  del: inline("del"),
  codespan: ({ text }) => h("code", null, text),
  br: () => "\n",
  escape: ({ text }) => text,
  formula: ({ node }) => node,
  text: (token, depth) => (token.tokens ? h(Fragment, null, within(token, depth)) : token.raw),
};

const nodes = (tokens, depth) =>
  tokens.map((token) => (depth > DEEPEST || !Object.hasOwn(MADE, token.type) ? token.raw : MADE[token.type](token, depth)));

// Elements of the reply; null where it is a text without any form, or none that can be read.
export function formed(text) {
  if (text.length > LONGEST || isData(text)) return null;
  formulas = 0;
  try {
    const tokens = marked.lexer(text);
    return tokens.every(isPlain) ? null : nodes(tokens, 0);
  } catch (error) {
    if (error instanceof RangeError) return null; // nested too deep
    throw error;
  }
}

const isPlain = ({ type, tokens }) =>
  type === "space" || (type === "paragraph" && tokens.every((one) => one.type === "text" || one.type === "br"));

// JSON is for programs, whatever its texts look like.
function isData(text) {
  if (!/^\s*[[{]/.test(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
