// What is asked, and how.
import { Component, createRef, html } from "./dom.js";
import { Turns, optionsOf } from "./turns.js";

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

export const SETTINGS = { profile: "", method: "", kind: "", k: "", stopping: "", options: "" };

// Which entry of /v1/models the settings mean: the first profile where they mean none.
export function chosen(entries, settings) {
  const profiles = entries.filter(({ role }) => role === "profile");
  const profile = profiles.find(({ id }) => id === settings.profile) ?? profiles[0];
  const entry = entries.find(({ id }) => id === `${profile.id}:${settings.method}`);
  return { profile, entry: entry ?? profile };
}

export function request(question, entry, settings, turns) {
  const more = { return_samples: true };
  const options = optionsOf(settings);
  if (settings.kind) more.kind = settings.kind;
  if (options.length > 0) Object.assign(more, { kind: "choice", choices: options });
  if (settings.k && !entry.fixed) more.k = Number(settings.k);
  if (settings.stopping) {
    const risk = Number(settings.stopping);
    more.stopping = Number.isNaN(risk) ? settings.stopping : { risk };
  }
  return { model: entry.id, stream: true, messages: [...turns, { role: "user", content: question }], slmmux: more };
}

const Choice = ({ name, label, options, value, disabled, onChange }) => html`<label>${label}
  <select name=${name} value=${value} disabled=${disabled} onChange=${(event) => onChange({ [name]: event.target.value })}>
    ${options.map(([id, text]) => html`<option key=${id} value=${id} selected=${id === value}>${text}</option>`)}
  </select></label>`;

const Settings = ({ entries, settings, onChange }) => {
  const { profile, entry } = chosen(entries, settings);
  const choosing = optionsOf(settings).length > 0;
  const profiles = entries.filter(({ role }) => role === "profile");
  const methods = entries
    .filter(({ id, role }) => role === "method" && id.startsWith(`${profile.id}:`))
    .map(({ id, summary }) => [id.slice(profile.id.length + 1), summary]);
  return html`<details class="settings"><summary>How the pool answers</summary><div class="grid">
    ${profiles.length > 1 && html`<${Choice} name="profile" label="Profile" value=${profile.id} onChange=${onChange}
      options=${profiles.map(({ id, models }) => [id, `${id}: ${models.join(", ")}`])} />`}
    <${Choice} name="method" label="Method" value=${settings.method} onChange=${onChange}
      options=${[["", "as the pool decides"], ...methods]} />
    <${Choice} name="kind" label="Answers are" value=${choosing ? "choice" : settings.kind} disabled=${choosing} onChange=${onChange} options=${KINDS} />
    <label>Samples of each model <input name="k" type="number" min="1" max="500" inputmode="numeric" disabled=${entry.fixed}
      placeholder=${entry.k} value=${entry.fixed ? "" : settings.k} onInput=${(event) => onChange({ k: event.target.value })} /></label>
    <${Choice} name="stopping" label="Stop drawing" value=${settings.stopping} onChange=${onChange} options=${STOPPING} />
  </div></details>`;
};

class Options extends Component {
  begun = optionsOf(this.props.settings).length > 0; // open then; and as the reader opens and closes it

  render({ settings, onChange }) {
    const { length } = optionsOf(settings);
    return html`<details class="options" open=${this.begun}><summary>Options to choose from${length > 0 && ` (${length})`}</summary>
      <label>One option a line; the models see them as A, B, C …
        <textarea name="options" rows="4" value=${settings.options} placeholder=${"Paris\nLyon\nMarseille"}
          onInput=${(event) => onChange({ options: event.target.value })}></textarea></label></details>`;
  }
}

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

  render({ question, settings, entries, turns, voting, onQuestion, onSettings, onStop, onEnd, problem }) {
    return html`<form class="ask" novalidate onSubmit=${this.ask}>
      <div class="row"><label for="question" class="title">${turns.length > 0 ? "Follow up" : "Ask the pool"}</label>
        ${turns.length > 0 && html`<button type="button" onClick=${onEnd}>Begin anew</button>`}</div>
      ${turns.length > 0 && html`<${Turns} turns=${turns} />`}
      <textarea id="question" rows="3" value=${question} placeholder=${turns.length > 0 ? "And twice that?" : "What is 17 + 25?"}
        aria-describedby="question-note" onInput=${(event) => onQuestion(event.target.value)} onKeyDown=${this.pressed}></textarea>
      <div class="row">
        <button type="submit" class="main" ref=${this.button} aria-disabled=${voting ? "true" : "false"}>Ask</button>
        ${voting && html`<button type="button" class="stop" onClick=${onStop}>Stop</button>`}
        <span id="question-note" class=${problem ? "bad" : "note"}>${problem ?? "Enter asks; Shift and Enter begin a new line."}</span>
      </div>
      <${Options} settings=${settings} onChange=${onSettings} />
      ${entries && html`<${Settings} entries=${entries} settings=${settings} onChange=${onSettings} />`}
    </form>`;
  }
}
