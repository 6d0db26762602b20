// Elements whose content is what somebody said: text, with LaTeX as formulas.
import { Component, createRef, html } from "./dom.js";
import { formed } from "./markdown.js";
import { answered, pieces } from "./maths.js";
import { seconds, visible } from "./words.js";

export class Said extends Component {
  shouldComponentUpdate(next) {
    return next.text !== this.props.text; // reading LaTeX takes its time
  }

  render({ as = "div", kind, answer, text }) {
    const said = visible(text);
    return html`<${as} class=${`${kind} said`} dir="auto">${answer ? answered(said) : pieces(said)}</${as}>`;
  }
}

// A model's reply: with its headings, lists, tables and code, or letter for letter.
export class Reply extends Component {
  state = { written: false };

  shouldComponentUpdate(next, state) {
    return next.text !== this.props.text || state.written !== this.state.written;
  }

  render({ text }, { written }) {
    const said = visible(text);
    const form = formed(said);
    if (form === null) return html`<${Said} kind="reply" text=${text} />`;
    return html`<div class="whole-reply">
      <div class=${written ? "reply said" : "reply formed said"} dir="auto">${written ? said : form}</div>
      <button type="button" class="link note" aria-pressed=${written ? "true" : "false"}
        onClick=${() => this.setState({ written: !written })}>As it was written</button></div>`;
  }
}

// A sample's text over the page.
export class SampleText extends Component {
  dialog = createRef();

  componentDidMount() {
    this.dialog.current.showModal();
  }

  render({ sample, onClose }) {
    const title = `${sample.model}, sample ${sample.index + 1}`;
    return html`<dialog ref=${this.dialog} onClose=${onClose} aria-labelledby="sample-title" class="sample">
      <div class="row"><h2 id="sample-title">${title}</h2>
        <button type="button" onClick=${() => this.dialog.current.close()}>Close</button></div>
      <p class="note">${sample.answer ? "Read as " : "No answer was read from it."}
        ${sample.answer && html`<${Said} as="b" answer text=${sample.answer.text} />`}
        ${sample.latency_s > 0 && html` <span>in ${seconds(sample.latency_s)}</span>`}</p>
      ${sample.error && html`<p class="bad">${visible(sample.error)}</p>`}
      ${sample.reasoning && html`<details><summary>What it thought first</summary><${Reply} text=${sample.reasoning} /></details>`}
      ${sample.text !== null && html`<${Reply} text=${sample.text.trim()} />`}
    </dialog>`;
  }
}
