// What is asked, and how.
import { Component, createRef, html } from "./dom.js";

const KINDS = [
  ["", "as the pool reads them"],
  ["math", "mathematics"],
  ["number", "a number"],
  ["choice", "a choice: A, B, C …"],
  ["date", "a date"],
  ["yes_no", "yes or no"],
  ["json", "JSON"],
  ["text", "text, word for word"],
];
const STOPPING = [
  ["", "as the pool stops"],
  ["exact", "when nothing can change the answer"],
  ["0.05", "when a change is unlikely (5%)"],
  ["off", "never: draw all"],
];

export const SETTINGS = { profile: "", method: "", kind: "", k: "", stopping: "" };

// Which entry of /v1/models the settings mean: the first profile where they mean none.
export function chosen(entries, settings) {
  const profiles = entries.filter(({ role }) => role === "profile");
  const profile = profiles.find(({ id }) => id === settings.profile) ?? profiles[0];
  const entry = entries.find(({ id }) => id === `${profile.id}:${settings.method}`);
  return { profile, entry: entry ?? profile };
}

export function request(question, entry, settings) {
  const more = { return_samples: true };
  if (settings.kind) more.kind = settings.kind;
  if (settings.k && !entry.fixed) more.k = Number(settings.k);
  if (settings.stopping) {
    const risk = Number(settings.stopping);
    more.stopping = Number.isNaN(risk) ? settings.stopping : { risk };
  }
  return { model: entry.id, stream: true, messages: [{ role: "user", content: question }], slmmux: more };
}

const Choice = ({ name, label, options, value, onChange }) => html`<label>${label}
  <select name=${name} value=${value} onChange=${(event) => onChange({ [name]: event.target.value })}>
    ${options.map(([id, text]) => html`<option key=${id} value=${id} selected=${id === value}>${text}</option>`)}
  </select></label>`;

const Settings = ({ entries, settings, onChange }) => {
  const { profile, entry } = chosen(entries, settings);
  const profiles = entries.filter(({ role }) => role === "profile");
  const methods = entries
    .filter(({ id, role }) => role === "method" && id.startsWith(`${profile.id}:`))
    .map(({ id, summary }) => [id.slice(profile.id.length + 1), summary]);
  return html`<details class="settings"><summary>How the pool answers</summary><div class="grid">
    ${profiles.length > 1 && html`<${Choice} name="profile" label="Profile" value=${profile.id} onChange=${onChange}
      options=${profiles.map(({ id, models }) => [id, `${id}: ${models.join(", ")}`])} />`}
    <${Choice} name="method" label="Method" value=${settings.method} onChange=${onChange}
      options=${[["", "as the pool decides"], ...methods]} />
    <${Choice} name="kind" label="Answers are" value=${settings.kind} onChange=${onChange} options=${KINDS} />
    <label>Samples of each model <input name="k" type="number" min="1" max="500" inputmode="numeric" disabled=${entry.fixed}
      placeholder=${entry.k} value=${entry.fixed ? "" : settings.k} onInput=${(event) => onChange({ k: event.target.value })} /></label>
    <${Choice} name="stopping" label="Stop drawing" value=${settings.stopping} onChange=${onChange} options=${STOPPING} />
  </div></details>`;
};

export const KeyField = ({ value, wrong, onKey }) => {
  const use = (event) => {
    event.preventDefault();
    onKey(new FormData(event.target).get("key").trim());
  };
  return html`<form class="key-form" onSubmit=${use}>
    <label for="api-key">API key</label>
    <input id="api-key" name="key" type="password" autocomplete="off" spellcheck=${false} defaultValue=${value}
      aria-invalid=${wrong ? "true" : "false"} aria-describedby="key-note" />
    <button type="submit">Use</button>
    <p id="key-note" class=${wrong ? "bad" : "note"}>${wrong ?? "This tab keeps it until it is closed."}</p>
  </form>`;
};

export class AskForm extends Component {
  button = createRef();

  componentDidUpdate(before) {
    // The stop button has gone from under the focus.
    if (before.voting && !this.props.voting && document.activeElement === document.body) this.button.current.focus();
  }

  ask = (event) => {
    event.preventDefault();
    if (!this.props.voting) this.props.onAsk();
  };

  pressed = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) this.ask(event);
    if (event.key === "Escape" && this.props.voting) this.props.onStop();
  };

  render({ question, settings, entries, voting, onQuestion, onSettings, onStop, problem }) {
    return html`<form class="ask" novalidate onSubmit=${this.ask}>
      <label for="question" class="title">Ask the pool</label>
      <textarea id="question" rows="3" value=${question} placeholder="What is 17 + 25?"
        aria-describedby="question-note" onInput=${(event) => onQuestion(event.target.value)} onKeyDown=${this.pressed}></textarea>
      <div class="row">
        <button type="submit" class="main" ref=${this.button} aria-disabled=${voting ? "true" : "false"}>Ask</button>
        ${voting && html`<button type="button" class="stop" onClick=${onStop}>Stop</button>`}
        <span id="question-note" class=${problem ? "bad" : "note"}>${problem ?? "Enter asks; Shift and Enter begin a new line."}</span>
      </div>
      ${entries && html`<${Settings} entries=${entries} settings=${settings} onChange=${onSettings} />`}
    </form>`;
  }
}
