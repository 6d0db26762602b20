// Text with LaTeX in it → text nodes and MathML. Temml reads the LaTeX; the elements are made here,
// from lists of what is allowed, so that neither its output nor a model's words become HTML.
const MATHML = "http://www.w3.org/1998/Math/MathML";
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
const MOST = 200;
const OPTIONS = { throwOnError: true, trust: false, maxExpand: 200, maxSize: [5, 20] };
// $…$ is mathematics only where it looks like it: "$5 and $6" is money.
// The bounds keep the search for an end short, however a text tries to make it long.
const FORMULA =
  /\$\$([\s\S]{1,2000}?)\$\$|\\\[([\s\S]{1,2000}?)\\\]|\\\(([\s\S]{1,2000}?)\\\)|\$(?![\s$])((?:\\.|[^$\\\n]){1,2000}?)(?<!\s)\$(?!\d)/g;

// A node of Temml's tree → ours. Groups and links have no element of their own: their content stays.
function copied(node) {
  if (typeof node.text === "string") return document.createTextNode(node.text);
  const element = made(node);
  element.append(...(node.children ?? []).map(copied));
  return element;
}

function made(node) {
  if (!ELEMENTS.has(node.type)) return document.createDocumentFragment();
  const element = document.createElementNS(MATHML, node.type);
  for (const name of node.classes ?? []) if (/^[a-z-]+$/i.test(name)) element.classList.add(name);
  for (const [name, value] of Object.entries(node.attributes ?? {})) {
    if (ATTRIBUTES.has(name)) element.setAttribute(name, String(value));
  }
  for (const [name, value] of Object.entries(node.style ?? {})) {
    if (STYLES.has(name)) element.style[name] = String(value);
  }
  return element;
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

// A wide formula scrolls on its own.
function block(maths) {
  const place = document.createElement("div");
  place.className = "formula";
  place.append(maths);
  return place;
}

// Put the text into the element.
export function write(element, text) {
  const parts = [];
  let end = 0;
  let count = 0;
  for (const found of text.matchAll(FORMULA)) {
    const tex = found[1] ?? found[2] ?? found[3] ?? found[4];
    const display = found[1] !== undefined || found[2] !== undefined;
    const maths = (count += 1) > MOST ? null : formula(tex, display);
    if (maths === null) continue;
    const before = text.slice(end, found.index);
    end = found.index + found[0].length;
    if (!display) parts.push(before, maths);
    else {
      parts.push(before.replace(/\n$/, ""), block(maths)); // a block breaks the line itself
      if (text[end] === "\n") end += 1;
    }
  }
  element.replaceChildren(...parts, text.slice(end));
}

// Put an answer into the element: as a formula where it is written as one.
export function writeAnswer(element, text) {
  const bare = /[\\^_]/.test(text) && !/[$]|\\\(|\\\[/.test(text) ? formula(text) : null;
  if (bare === null) write(element, text);
  else element.replaceChildren(bare);
}
