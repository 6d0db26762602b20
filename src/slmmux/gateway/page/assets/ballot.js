// The vote on the page: lanes of samples, classes of answers, and what came of it.
import { html } from "./dom.js";
import { Reply, Said } from "./said.js";
import { named } from "./turns.js";
import { classes, lanes, leader } from "./vote.js";
import { confidence, explained, letter, many, oneLine, percent, seconds, without } from "./words.js";

const COLOURS = 7;
const colour = (one) => `c${one.place % COLOURS}`;

const Slot = ({ sample, model, index, found, over, onShow }) => {
  if (sample === null) {
    return html`<span class=${`slot ${over ? "spared" : "open"}`} title=${over ? "not needed" : "open"}></span>`;
  }
  const one = found.find(({ key }) => key === sample.answer?.key);
  const what = one ? `${oneLine(one.text, 40)}, answer ${letter(one.place)}` : sample.error ? "failed" : "no readable answer";
  return html`<button type="button" class=${`slot ${one ? colour(one) : "none"}`} onClick=${() => onShow(sample)}
    aria-label=${`${model}, sample ${index + 1}: ${what}. Show its text`} title=${what}>${one ? letter(one.place) : sample.error ? "!" : "?"}</button>`;
};

const Lane = ({ row, vote, found, onShow }) => {
  const { model, k, slots, mode, votes } = row;
  const decides = vote.outcome?.decided_by === model;
  const over = vote.phase === "decided";
  const share = votes / k;
  return html`<li class=${decides ? "lane decides" : "lane"}>
    <span class="name">${model}${decides && html` <b class="badge">${vote.outcome.abstained ? "best guess" : "decides"}</b>`}</span>
    <span class=${k > 12 ? "slots dense" : "slots"}>${slots.map(
      (sample, index) => html`<${Slot} key=${index} ...${{ sample, model, index, found, over, onShow }} />`,
    )}</span>
    <span class="bar" aria-hidden="true"><i class=${mode ? colour(mode) : ""} style=${{ width: percent(share) }}></i></span>
    <span class="count">${mode ? `${votes} of ${k} for ${letter(mode.place)}` : `0 of ${k}`}</span>
  </li>`;
};

const Class = ({ one, vote, won }) => html`<li class=${won ? "class won" : "class"}>
  <span class=${`slot ${colour(one)}`} aria-hidden="true">${letter(one.place)}</span>
  <${Said} as="span" kind="answer" answer text=${named(vote.options, one.text)} />
  <span class="bar" aria-hidden="true"><i class=${colour(one)} style=${{ width: percent(one.total / vote.budget) }}></i></span>
  <span class="count">${many(one.total, "vote")}: ${[...one.votes].map(([model, votes]) => `${model} ${votes}`).join(", ")}</span>
</li>`;

const failures = (vote) => vote.samples.filter(({ error }) => error).length;

// How many came, once no more will.
function arrivals(vote) {
  const lost = failures(vote);
  return `${vote.samples.length - lost} of ${many(vote.budget, "sample")} arrived${lost > 0 ? `, ${lost} failed` : ""}`;
}

export function progress(vote) {
  const lost = failures(vote);
  const arrived = `${vote.samples.length} of at most ${many(vote.budget, "sample")}${lost > 0 ? ` (${lost} failed)` : ""}`;
  const first = leader(lanes(vote, classes(vote)));
  if (first === null) return vote.samples.length ? arrived : "waiting for the first sample";
  return `${arrived}; ${first.model} leads with ${first.votes} of ${first.k} for ${oneLine(first.mode.text, 30)}`;
}

// One sentence for who cannot see the lanes.
export function announced(vote) {
  if (vote.phase === "voting") return `Voting: ${progress(vote)}.`;
  if (vote.phase === "stopped") return `Stopped. ${many(vote.samples.length, "sample")} had arrived.`;
  if (vote.phase === "failed") return explained(vote.refusal).title;
  const { outcome } = vote;
  if (outcome.answer === null) return "Over: no sample had an answer that could be read.";
  if (outcome.abstained) return `Held back, not sure enough. The best guess is ${oneLine(outcome.answer)}.`;
  return `Decided: ${oneLine(outcome.answer)}. ${many(outcome.draws_saved, "draw")} of ${outcome.budget} saved.`;
}

const Fact = ({ name, children }) => html`<div><dt>${name}</dt><dd>${children}</dd></div>`;

const Notes = ({ outcome }) => {
  const degraded = Object.entries(outcome.degraded);
  return html`<ul class="notes">
    ${outcome.reason && html`<li>${outcome.reason}</li>`}
    ${!outcome.exact && html`<li>More draws could have changed this answer: the vote was cut short, or was told to take a chance.</li>`}
    ${outcome.kind_from === "fallback" && html`<li>Nothing says what kind of answer this question wants, so answers are compared as texts. Choose a kind under “How the pool answers”.</li>`}
    ${degraded.map(([model, said]) => html`<li class="bad" key=${model}>${model} failed: ${without(model, said)}</li>`)}
  </ul>`;
};

const Outcome = ({ vote }) => {
  const { outcome } = vote;
  const won = outcome.answer !== null;
  const title = !won ? "No answer could be read" : outcome.abstained ? "Not sure enough; the best guess is" : "Decided";
  return html`<div class=${outcome.abstained ? "outcome none" : "outcome"}>
    <h3>${title}</h3>
    ${won && html`<${Said} kind="winner" answer text=${named(vote.options, outcome.answer)} />`}
    <dl class="facts">
      ${outcome.decided_by && html`<${Fact} name=${outcome.abstained ? "Guess of" : "Decided by"}>${outcome.decided_by}<//>`}
      ${won && html`<${Fact} name="Confidence">${confidence(outcome.confidence)}<//>`}
      ${outcome.escalated && html`<${Fact} name="The pool's own guess">${oneLine(outcome.escalated.answer ?? "none", 40)}<//>`}
      ${outcome.probability && html`<${Fact} name="Probably right">${confidence(outcome.probability)}<//>`}
      <${Fact} name="Draws saved">${outcome.draws_saved} of ${outcome.budget}<//>
      <${Fact} name="Time">${seconds(outcome.elapsed_s)}<//>
      ${outcome.cost !== null && html`<${Fact} name="Cost">${outcome.cost.toPrecision(2)}<//>`}
      <${Fact} name="Read as">${outcome.kind.replace("_", "/")}<//>
    </dl>
    <${Notes} outcome=${outcome} />
  </div>`;
};

export const Trouble = ({ refusal }) => {
  const { title, text, upstreams } = explained(refusal);
  return html`<div class="trouble" role="alert"><h3>${title}</h3><p>${text}</p>
    ${upstreams.length > 0 && html`<ul>${upstreams.map(([name, said]) => html`<li key=${name}><b>${name}</b>: ${without(name, said)}</li>`)}</ul>`}
  </div>`;
};

const KEY = [
  ["c0", "A", "an answer, by its class"],
  ["none", "?", "none readable"],
  ["none", "!", "failed"],
  ["open", "", "open"],
  ["spared", "", "not needed"],
];
const state = ({ phase, outcome }) => (outcome?.abstained ? "Held back" : STATE[phase]);
const STATE = { voting: "Voting", decided: "Decided", stopped: "Stopped", failed: "Without an answer" };

export const Ballot = ({ vote, onShow, onFollow }) => {
  const found = classes(vote);
  const rows = lanes(vote, found);
  const winner = vote.outcome && found.find(({ votes, text }) => text === vote.outcome.answer && votes.size);
  const shown = [...found].sort((a, b) => (b === winner) - (a === winner) || b.total - a.total || a.place - b.place);
  const writer = vote.outcome?.decided_by ?? "The winner";
  return html`<section class=${`ballot ${vote.phase}`} aria-labelledby="ballot-title">
    <h2 id="ballot-title">The vote</h2>
    <${Said} kind="asked" text=${vote.question} />
    ${vote.options.length > 0 && html`<ol type="A" class="asked choices">${vote.options.map((option) => html`<li key=${option}><${Said} as="span" kind="option" text=${option} /></li>`)}</ol>`}
    ${vote.turns.length > 0 && html`<p class="note">Asked after ${many(vote.turns.length / 2, "earlier question")} and answer${vote.turns.length > 2 && "s"} of this conversation.</p>`}
    ${vote.refusal && html`<${Trouble} refusal=${vote.refusal} />`}
    ${vote.outcome && html`<${Outcome} vote=${vote} />`}
    ${(vote.phase !== "failed" || vote.samples.length > 0) && html`
      <h3>Samples <span class="state">${state(vote)}: ${vote.phase === "voting" ? progress(vote) : arrivals(vote)}</span></h3>
      <ol class="lanes">${rows.map((row) => html`<${Lane} key=${row.model} ...${{ row, vote, found, onShow }} />`)}</ol>
      <p class="key note" aria-hidden="true">${KEY.map(([kind, sign, words]) => html`<span><i class=${`slot ${kind}`}>${sign}</i>${words}</span>`)}</p>
      <h3>Answers</h3>
      ${shown.length === 0 && html`<p class="note">${vote.phase === "voting" ? "None yet." : "None."}</p>`}
      <ol class="classes">${shown.map((one) => html`<${Class} key=${one.key} ...${{ one, vote, won: one === winner }} />`)}</ol>`}
    ${vote.phase === "decided" && html`<h3>What ${vote.outcome.decided_by ? html`<span>${writer}</span> wrote` : "the reply says"}</h3>
      ${vote.reasoning && html`<details><summary>What it thought first</summary><${Reply} text=${vote.reasoning} /></details>`}
      <${Reply} text=${vote.text.trim()} />
      ${vote.text.trim() && html`<p class="row"><button type="button" onClick=${onFollow}>Follow up</button>
        <span class="note">A further question goes with this one and its answer.</span></p>`}`}
  </section>`;
};
