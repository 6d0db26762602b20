// A vote as it goes on: events in, what the page shows of it out. Nothing here touches the page.
import { Refusal } from "./api.js";
import { isLetter } from "./words.js";

// phase: voting → decided | stopped | failed
export const begun = (question, entry, k, { turns = [], options = [] } = {}) => ({
  phase: "voting",
  turns, // that went before it
  question,
  options,
  served: entry.id,
  budgets: new Map(entry.models.map((model) => [model, k])), // samples of each model
  budget: entry.models.length * k,
  samples: [],
  text: "",
  reasoning: "",
  outcome: null,
  refusal: null,
});

export function heard(vote, event) {
  if (event.error) return failed(vote, new Refusal(event.error.code === "bug" ? 500 : 503, event.error));
  const told = event.slmmux ?? {};
  const next = { ...vote };
  if (told.sample) next.samples = [...vote.samples, told.sample];
  const delta = event.choices?.[0]?.delta ?? {};
  if (typeof delta.content === "string") next.text += delta.content;
  if (typeof delta.refusal === "string") next.text += delta.refusal;
  if (typeof delta.reasoning_content === "string") next.reasoning += delta.reasoning_content;
  return told.tallies ? decided(next, told) : next;
}

// A bigger model that was asked in the end has a lane then, too.
function decided(vote, outcome) {
  const known = new Set(vote.samples.map(({ model, index }) => `${index} ${model}`));
  const further = (outcome.samples ?? []).filter(({ model, index }) => !known.has(`${index} ${model}`));
  return {
    ...vote,
    phase: "decided",
    outcome,
    budgets: new Map(outcome.tallies.map(({ model, k }) => [model, k])),
    budget: outcome.budget,
    samples: [...vote.samples, ...further],
  };
}

export const stopped = (vote) => ({ ...vote, phase: "stopped" });
export const failed = (vote, refusal) => ({ ...vote, phase: "failed", refusal });

// The classes of answers in order of their first vote: key, text, votes of each model.
export function classes(vote) {
  const found = new Map();
  for (const sample of vote.samples) {
    if (!sample.answer) continue;
    const { key, text } = sample.answer;
    if (!found.has(key)) found.set(key, { key, text, place: found.size, votes: new Map(), total: 0 });
    const one = found.get(key);
    one.votes.set(sample.model, (one.votes.get(sample.model) ?? 0) + 1);
    one.total += 1;
  }
  const all = [...found.values()];
  // Letters of options stand for themselves.
  if (all.every(({ text }) => isLetter(text))) for (const one of all) one.place = one.text.charCodeAt(0) - 65;
  return all;
}

// Each model's slots and its own most common answer; ties go to the class seen first, by index.
export function lanes(vote, found) {
  const byKey = new Map(found.map((one) => [one.key, one]));
  return [...vote.budgets].map(([model, k]) => {
    const slots = Array(k).fill(null);
    for (const sample of vote.samples) if (sample.model === model) slots[sample.index] = sample;
    let mode = null;
    const count = (key) => byKey.get(key).votes.get(model);
    for (const sample of slots) {
      const key = sample?.answer?.key;
      if (key !== undefined && (mode === null || count(key) > count(mode))) mode = key;
    }
    return { model, k, slots, mode: mode === null ? null : byKey.get(mode), votes: mode === null ? 0 : count(mode) };
  });
}

export function leader(rows) {
  const ahead = rows.filter((row) => row.votes > 0);
  return ahead.reduce((best, row) => (best === null || row.votes > best.votes ? row : best), null);
}
