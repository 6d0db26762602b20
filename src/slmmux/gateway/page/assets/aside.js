// Beside the vote: how the pool is, and what was asked before.
import { html } from "./dom.js";
import { many, oneLine } from "./words.js";

const SERVER = {
  unknown: ["", "asking how the server is"],
  ready: ["good", "ready"],
  busy: ["warn", "starting or stopping"],
  alone: ["bad", "reaches no model"],
  gone: ["bad", "does not answer"],
};
// by the state of the breaker before a model's endpoint
const BREAKERS = {
  closed: ["good", "responds"],
  "half-open": ["warn", "failed; is tried again"],
  open: ["bad", "keeps failing; left alone for a while"],
};

export const Pill = ({ server }) => {
  const [kind, words] = SERVER[server];
  return html`<span class=${`pill ${kind}`}><i aria-hidden="true"></i>Server ${words}</span>`;
};

export const Health = ({ models }) => html`<section aria-labelledby="pool-title">
  <h2 id="pool-title">The pool</h2>
  ${models.length === 0 && html`<p class="note">Its models are not known yet.</p>`}
  ${models.length > 0 && models.every(({ breaker }) => !breaker) && html`<p class="note">The server does not tell how each of them is.</p>`}
  <ul class="health">${models.map(({ id, breaker }) => {
    const [kind, words] = BREAKERS[breaker] ?? ["", ""];
    return html`<li key=${id}><span class=${`pill ${kind}`}><i aria-hidden="true"></i>${id}</span> <span class="note">${words}</span></li>`;
  })}</ul>
</section>`;

export const Recent = ({ recent, onAgain, onForget }) => html`<section aria-labelledby="recent-title">
  <div class="row"><h2 id="recent-title">Recent questions</h2>
    ${recent.length > 0 && html`<button type="button" onClick=${onForget}>Clear</button>`}</div>
  ${recent.length === 0 && html`<p class="note">None yet. They are kept in this browser only.</p>`}
  <ol class="recent">${recent.map((asked) => html`<li key=${asked.question}>
    <button type="button" class="link" onClick=${() => onAgain(asked)}>${oneLine(asked.question)}</button>
    <span class="note">${asked.answer === null ? "no answer" : oneLine(String(asked.answer), 40)}; ${many(asked.saved, "draw")} saved</span></li>`)}
  </ol>
</section>`;
