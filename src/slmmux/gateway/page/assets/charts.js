// Live charts of /metrics.
import { Component, createRef, html } from "./dom.js";
import { WINDOW_S, apart, quantile, series } from "./metrics.js";
import { decimals, many, percent, seconds } from "./words.js";

const HEIGHT = 190;
const SPAN_S = 180; // at least: two points are no line across all of the chart
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const about = (value) => (value === 0 ? "0" : `≈${seconds(value)}`); // known by bucket only
const clock = (time) => new Date(1000 * time).toLocaleTimeString([], { hour12: false });

// Places of points with no other beside them: no line shows them.
const alone = (values) =>
  values.flatMap((value, place) => (value != null && values[place - 1] == null && values[place + 1] == null ? [place] : []));

// Lines over time; drawn anew when the colours change.
class Lines extends Component {
  place = createRef();

  componentDidMount() {
    this.draw();
    this.observer = new ResizeObserver(() => this.plot?.setSize({ width: this.width(), height: HEIGHT }));
    this.observer.observe(this.place.current);
  }

  componentDidUpdate(before) {
    if (before.theme !== this.props.theme) this.draw();
    else this.plot.setData(this.data());
  }

  componentWillUnmount() {
    this.observer.disconnect();
    this.plot.destroy();
  }

  width = () => this.place.current.clientWidth;
  data = () => [this.props.times, ...this.props.lines.map(({ values }) => values)];

  draw() {
    this.plot?.destroy();
    const { unit, lines } = this.props;
    const shown = (value) => (value === null || value === undefined ? "" : unit(value));
    const axis = { stroke: css("--ink"), grid: { stroke: css("--grid"), width: 1 }, ticks: { stroke: css("--grid"), width: 1 } };
    const options = {
      width: this.width(),
      height: HEIGHT,
      cursor: { drag: { x: false, y: false } },
      scales: {
        x: { range: (_, first, last) => (last === null ? [0, SPAN_S] : [Math.min(first, last - SPAN_S), last]) },
        y: { range: (_, low, high) => [0, Math.max(high ?? 0, this.props.least) * 1.1] },
      },
      axes: [
        { ...axis, space: 90, values: (_, times) => times.map(clock) },
        { ...axis, size: 62, values: (_, values) => values.map((value) => shown(value).replace("≈", "")) },
      ],
      series: [
        { label: "time", value: (_, time) => (time === null ? "" : clock(time)) },
        ...lines.map(({ label, colour, dash }) => ({
          label,
          dash,
          stroke: css(colour),
          width: 2,
          spanGaps: false, // of what is not known there is no line
          points: { show: false, size: 5, fill: css(colour), filter: (plot, place) => alone(plot.data[place]) },
          value: (_, value) => shown(value),
        })),
      ],
    };
    this.plot = new globalThis.uPlot(options, this.data(), this.place.current);
  }

  render({ title, lines, unit, empty }) {
    const last = lines.map(({ label, values }) => [label, values.at(-1) ?? null]).filter(([, value]) => value !== null);
    const now = last.map(([label, value]) => `${label} ${unit(value)}`).join(", ");
    return html`<figure><figcaption><b>${title}</b><br />${now ? `now: ${now}` : empty}</figcaption>
      <div class="plot" ref=${this.place} role="img" aria-label=${`${title}, over time. ${now ? `Now: ${now}` : empty}.`}></div></figure>`;
  }
}

const Bars = ({ title, note, rows, empty }) => {
  const most = Math.max(...rows.map(({ value }) => value), 0);
  return html`<figure><figcaption><b>${title}</b><br />${note}</figcaption>
    ${most === 0 ? html`<p class="note">${empty}</p>` : html`<table class="bars"><tbody>${rows.map(({ name, value, words, colour = "c0" }) => html`<tr key=${name}>
      <th scope="row">${name}</th><td class="fill"><span class="bar"><i class=${colour} style=${{ width: percent(value / most) }}></i></span></td>
      <td>${words}</td></tr>`)}</tbody></table>`}</figure>`;
};

const Figure = ({ name, children }) => html`<div><dt>${name}</dt><dd>${children}</dd></div>`;

const Models = ({ now }) => {
  const names = [...now.upstream.keys()].sort();
  if (names.length === 0) return null;
  return html`<figure class="whole"><figcaption><b>Upstream calls by model</b><br />since the server started; not sent: the endpoint kept failing and was left alone</figcaption>
    <div class="wide" tabindex="0" role="region" aria-label="Upstream calls by model"><table><thead><tr>
      <th scope="col">model</th><th scope="col">calls</th><th scope="col">failed</th><th scope="col">not sent</th><th scope="col">median</th><th scope="col">95% within</th></tr></thead>
    <tbody>${names.map((name) => {
      const counts = now.upstream.get(name);
      return html`<tr key=${name}><th scope="row">${name}</th><td>${counts.at(-1)?.[1] ?? 0}</td><td>${now.errors.get(name) ?? 0}</td><td>${now.spared.get(name) ?? 0}</td>
        ${[0.5, 0.95].map((share) => {
          const value = quantile(share, counts);
          return html`<td key=${share}>${value === null ? "–" : about(value)}</td>`;
        })}</tr>`;
    })}</tbody></table></div></figure>`;
};

const ABSENT = {
  none: "This server has no metrics: nothing answers at /metrics.",
  key: "The server tells its metrics to those who have an API key; enter yours under Ask.",
  gone: "The server does not answer. The charts go on when it does.",
  unknown: "Waiting for the first figures.",
};

export function Charts({ history, metrics, theme }) {
  const now = history.at(-1);
  if (!now) return html`<p class="absent" role="status">${ABSENT[metrics] ?? ABSENT.unknown}</p>`;
  const lines = series(history);
  const known = lines.answered.at(-1) !== null;
  const soon = `Known ${WINDOW_S} seconds after the page was opened`;
  const rate = (value) => `${decimals(value)}/s`;
  const budget = now.draws + now.saved;
  const votes = [...now.selected.values()].reduce((sum, value) => sum + value, 0);
  return html`
    ${metrics !== "here" && html`<p class="absent" role="status">${ABSENT[metrics] ?? ABSENT.unknown}</p>`}
    <dl class="facts totals">
      <${Figure} name="Requests">${now.requests}<//>
      <${Figure} name="Failed">${now.failed}<//>
      <${Figure} name="Running, waiting">${now.running}, ${now.waiting}<//>
      <${Figure} name="Draws made">${now.draws}<//>
      <${Figure} name="Draws saved">${now.saved}${budget > 0 && ` (${percent(now.saved / budget)})`}<//>
      <${Figure} name="Tokens">${now.tokens.toLocaleString("en")}<//>
      ${now.money > 0 && html`<${Figure} name="Money">${decimals(now.money, 3)}<//>`}
      <${Figure} name="Without an answer">${now.abstained}<//>
    </dl>
    <p class="note">Totals are since the server started. Each point of a line is over the ${WINDOW_S} seconds before it (up to 10 more where the page looked less often), so lines begin ${WINDOW_S} seconds after this page was opened.</p>
    <div class="charts">
      <${Lines} title="Requests" times=${lines.times} theme=${theme} unit=${rate} least=${0.1} empty=${soon} lines=${[
        { label: "answered", colour: "--c0", values: lines.answered },
        { label: "failed", colour: "--c1", dash: [6, 4], values: lines.failed },
      ]} />
      <${Lines} title="Time of a request" times=${lines.times} theme=${theme} unit=${about} least=${0.01} empty=${known ? `now: no request in the last ${WINDOW_S} seconds` : soon} lines=${[
        { label: "median", colour: "--c0", values: lines.median },
        { label: "95% within", colour: "--c4", dash: [6, 4], values: lines.slow },
      ]} />
      <${Lines} title="Draws" times=${lines.times} theme=${theme} unit=${rate} least=${0.1} empty=${soon} lines=${[
        { label: "made", colour: "--c0", values: lines.draws },
        { label: "saved", colour: "--c2", dash: [6, 4], values: lines.saved },
      ]} />
      <${Bars} title="Who decided" note="by model; early stopping often ends a vote before that is known" empty="Not known of any vote yet."
        rows=${[...now.selected].map(([name, value]) => ({ name, value, words: `${value} (${percent(value / votes)})` }))} />
      <${Bars} title="Confidence of the winner" note="votes by the share of its samples that agree" empty="No vote has an answer yet."
        rows=${apart(now.confidence).filter(([end]) => end !== Infinity).map(([end, value]) => ({
          name: `${Math.round(100 * end - 10)} to ${percent(end)}`, value, words: many(value, "vote"), colour: "c2" }))} />
      <${Models} now=${now} />
    </div>`;
}
