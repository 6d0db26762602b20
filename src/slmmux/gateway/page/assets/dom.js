// Elements from templates. A value in a template becomes a text or an attribute, never HTML.
import htm from "./vendor/htm.mjs";
import { Component, Fragment, createRef, h, render } from "./vendor/preact.mjs";

export { Component, Fragment, createRef, h, render };
export const html = htm.bind(h);
