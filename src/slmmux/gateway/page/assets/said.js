// Elements whose content is what somebody said: text, with LaTeX as formulas.
import { Component, createRef, html } from "./dom.js";
import { write, writeAnswer } from "./maths.js";

export class Said extends Component {
  element = createRef();

  componentDidMount() {
    this.fill();
  }

  componentDidUpdate(before) {
    if (before.text !== this.props.text) this.fill();
  }

  fill() {
    (this.props.answer ? writeAnswer : write)(this.element.current, this.props.text);
  }

  render({ as = "div", kind }) {
    return html`<${as} class=${kind} ref=${this.element}></${as}>`;
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
        ${sample.latency_s > 0 && html` <span>in ${sample.latency_s.toFixed(1)} s</span>`}</p>
      ${sample.error && html`<p class="bad">${sample.error}</p>`}
      ${sample.reasoning && html`<details><summary>What it thought first</summary><${Said} kind="reply" text=${sample.reasoning} /></details>`}
      ${sample.text !== null && html`<${Said} kind="reply" text=${sample.text.trim()} />`}
    </dialog>`;
  }
}
