// A conversation: what was asked and answered before goes along with a further question.
import { html } from "./dom.js";
import { Reply, Said } from "./said.js";
import { isLetter, letter, many } from "./words.js";

export const optionsOf = ({ options = "" }) => String(options).split("\n").map((line) => line.trim()).filter(Boolean);

// What is wrong with the options, if anything.
export function optionProblem(options) {
  if (options.length === 1) return "Give two options or more, one a line.";
  if (options.length > 10) return `${options.length} options are too many: ten at most.`;
  return new Set(options).size < options.length ? "Two options are the same." : null;
}

// An answer that is the letter of an option, with the option.
export function named(options, answer) {
  const option = isLetter(answer) ? options[answer.charCodeAt(0) - 65] : undefined;
  return option === undefined ? answer : `${answer}) ${option}`;
}

// The messages once this vote is among them. Options stand in the question, as the models saw them.
export function continued({ turns, question, options, text }) {
  const asked = [question, options.map((option, place) => `${letter(place)}) ${option}`).join("\n")];
  const content = asked.filter(Boolean).join("\n\n");
  return [...turns, { role: "user", content }, { role: "assistant", content: text.trim() }];
}

export const Turns = ({ turns }) => html`<details class="turns"><summary>Goes with the conversation so far: ${many(turns.length / 2, "question")} and ${many(turns.length / 2, "answer")}</summary>
  <ol>${turns.map(({ role, content }, place) => html`<li key=${place}><b>${role === "user" ? "Asked" : "Answered"}</b>
      ${role === "user" ? html`<${Said} kind="asked" text=${content} />` : html`<${Reply} text=${content} />`}</li>`)}</ol></details>`;
