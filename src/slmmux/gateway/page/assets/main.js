// The page: what it knows, and what happens when somebody does something.
import * as api from "./api.js";
import { Health, Pill, Recent } from "./aside.js";
import { Ballot, Trouble, announced } from "./ballot.js";
import { Charts } from "./charts.js";
import { Component, Fragment, html, render } from "./dom.js";
import { AskForm, KeyField, SETTINGS, chosen, request } from "./form.js";
import { parsed, snapshot } from "./metrics.js";
import { SampleText } from "./said.js";
import { apiKey, forgetQuestions, keepKey, keepQuestion, keepTheme, recentQuestions } from "./storage.js";
import { continued, named, optionProblem, optionsOf } from "./turns.js";
import { begun, failed, heard, stopped } from "./vote.js";
import { explained } from "./words.js";

const LIVE_MS = 2_000; // while charts are looked at
const CALM_MS = 10_000;
const LONGEST = 1_000; // snapshots
const SAY_MS = 2_000; // between two announcements of progress

const systemDark = matchMedia("(prefers-color-scheme: dark)");
const theme = () => document.documentElement.dataset.theme ?? (systemDark.matches ? "dark" : "light");
const focusOn = (id) => document.getElementById(id)?.focus();
// The vote, where it begins below the window (on a phone, or under open settings).
const reveal = () => {
  const title = document.getElementById("ballot-title");
  if (title && title.getBoundingClientRect().bottom > 0.8 * innerHeight) title.scrollIntoView({ block: "start" });
};
const tab = () => (location.hash === "#charts" ? "charts" : "ask");

class Page extends Component {
  history = [];
  saidAt = 0;
  state = {
    tab: tab(), theme: theme(), entries: null, key: apiKey(), keyAsked: apiKey() !== "", keyWrong: null, listing: null,
    question: "", settings: SETTINGS, turns: [], problem: null, vote: null, shown: null, said: "",
    recent: recentQuestions(), server: "unknown", metrics: "unknown",
  };

  componentDidMount() {
    addEventListener("hashchange", () => this.turn());
    systemDark.addEventListener("change", () => this.setState({ theme: theme() }));
    document.addEventListener("visibilitychange", () => this.look());
    this.look();
  }

  turn() {
    this.setState({ tab: tab() }, () => focusOn("main"));
    this.look();
  }

  // Look how everything is, now and again after a while.
  async look() {
    clearTimeout(this.timer);
    const turn = (this.looking = (this.looking ?? 0) + 1);
    if (document.hidden) return;
    await Promise.all([this.lookAtServer(), this.lookAtMetrics()]);
    if (turn !== this.looking) return;
    this.timer = setTimeout(() => this.look(), this.state.tab === "charts" ? LIVE_MS : CALM_MS);
  }

  async lookAtServer() {
    try {
      await api.isReady();
      this.setState({ server: "ready" });
    } catch (error) {
      const gone = [0, 502, 504].includes(error.status);
      this.setState({ server: gone ? "gone" : error.code === "no_upstream" ? "alone" : "busy" });
    }
    // Again each time: what is served may have been reloaded, and breakers open and close.
    if (!this.state.keyWrong) await this.list(this.state.key);
  }

  async lookAtMetrics() {
    if (this.state.keyWrong) return; // asking again would count as guessing
    try {
      const rows = parsed(await api.metrics(this.state.key));
      if (rows.length === 0) throw new api.Refusal(404); // a proxy's page
      const now = snapshot(rows, Date.now() / 1000);
      this.history = [...this.history, now].slice(-LONGEST);
      this.setState({ metrics: "here" });
    } catch (error) {
      const why = { 401: "key", 404: "none" }[error.status] ?? "gone";
      this.setState({ metrics: why });
    }
  }

  async list(key) {
    try {
      const entries = (await api.models(key)).map(({ id, slmmux }) => ({ id, ...slmmux }));
      this.setState({ entries, keyWrong: null, listing: null });
      return true;
    } catch (error) {
      if (error.status === 401 && !key) this.setState({ keyAsked: true });
      else if (error.status === 401 || error.code === "too_many_wrong_keys") {
        const { title, text } = explained(error);
        this.setState({ keyAsked: true, keyWrong: `${title}. ${text}` });
      } else this.setState({ listing: error });
      return false;
    }
  }

  useKey = async (key) => {
    keepKey(key);
    this.setState({ key, keyWrong: null });
    if (await this.list(key)) focusOn("question");
    this.look();
  };

  ask = async () => {
    const { entries, question, settings, turns, key } = this.state;
    const problem = this.problem();
    this.setState({ problem });
    if (problem) return;
    const { entry } = chosen(entries, settings);
    const body = request(question.trim(), entry, settings, turns);
    this.stopper = new AbortController();
    requestAnimationFrame(reveal);
    this.show(begun(question.trim(), entry, body.slmmux.k ?? entry.k, { turns, options: optionsOf(settings) }));
    try {
      for await (const event of api.vote(body, key, this.stopper.signal)) this.show(heard(this.vote, event));
      if (this.vote.phase === "voting") throw new api.Refusal(-1);
    } catch (error) {
      if (this.stopper.signal.aborted) this.show(stopped(this.vote));
      else this.refused(error instanceof api.Refusal ? error : new api.Refusal(500, error));
    }
    if (this.vote.phase === "decided") this.remember(settings);
    if (this.vote.phase === "decided" && turns.length > 0) this.goOn();
    this.look();
  };

  problem() {
    const { entries, question, settings } = this.state;
    if (entries === null) return this.state.keyAsked ? "First enter an API key." : "The server has not answered yet.";
    if (!question.trim()) return "Write a question first.";
    const k = Number(settings.k);
    if (settings.k && !(Number.isInteger(k) && k >= 1 && k <= 500)) return "Samples of each model: a whole number from 1 to 500.";
    return optionProblem(optionsOf(settings));
  }

  // A further question, with this vote's and all before it.
  goOn() {
    const { vote } = this;
    if (!vote.text.trim()) return;
    const settings = { ...this.state.settings, options: "" }; // they were the last question's
    this.setState({ turns: continued(vote), question: "", settings });
  }

  follow = () => {
    if (this.state.turns.length === 0) this.goOn();
    this.setState({}, () => focusOn("question"));
  };

  endTurns = () => this.setState({ turns: [], question: "" }, () => focusOn("question"));

  refused(error) {
    this.show(failed(this.vote, error));
    if (error.status === 401) {
      this.setState({ keyAsked: true, keyWrong: explained(error).title }, () => focusOn("api-key"));
    }
  }

  show(vote) {
    this.vote = vote;
    const now = Date.now();
    const quiet = vote.phase === "voting" && now - this.saidAt < SAY_MS;
    if (!quiet) this.saidAt = now;
    this.setState(quiet ? { vote } : { vote, said: announced(vote) });
  }

  remember(settings) {
    const { question, options, outcome, turns } = this.vote;
    if (turns.length > 0) return; // it means nothing on its own
    const answer = outcome.abstained || outcome.answer === null ? null : named(options, outcome.answer);
    keepQuestion({ question, settings, answer, saved: outcome.draws_saved });
    this.setState({ recent: recentQuestions() });
  }

  again = ({ question, settings }) => {
    this.setState({ question, settings: { ...SETTINGS, ...settings }, turns: [] });
    focusOn("question");
  };

  forget = () => {
    forgetQuestions();
    this.setState({ recent: [] });
    focusOn("question");
  };

  changeTheme = () => {
    keepTheme(this.state.theme === "dark" ? "light" : "dark");
    this.setState({ theme: theme() });
  };

  render(_, state) {
    const other = state.theme === "dark" ? "light" : "dark";
    const link = (name, words) => html`<a href=${`#${name}`} aria-current=${state.tab === name ? "page" : undefined}>${words}</a>`;
    return html`<${Fragment}>
      <a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); focusOn("main"); }}>Skip to the content</a>
      <header>
        <div class="top"><h1>slmmux</h1><${Pill} server=${state.server} />
          <button type="button" onClick=${this.changeTheme} aria-label=${`Change to ${other} colours`}>${other === "dark" ? "Dark" : "Light"}</button></div>
        <nav aria-label="Parts of the page">${link("ask", "Ask")} ${link("charts", "Charts")}</nav>
      </header>
      <p class="hidden" role="status" aria-live="polite">${state.said}</p>
      <main id="main" tabindex="-1">
        ${state.tab === "ask" ? this.askPart(state) : html`<section aria-label="Charts"><${Charts} history=${this.history} metrics=${state.metrics} theme=${state.theme} /></section>`}
      </main>
      ${state.shown && html`<${SampleText} sample=${state.shown} onClose=${() => this.setState({ shown: null })} />`}
    <//>`;
  }

  askPart(state) {
    const voting = state.vote?.phase === "voting";
    const members = (state.entries ?? []).filter(({ role }) => role === "member");
    return html`<div class="parts"><div>
        ${state.keyAsked && html`<${KeyField} value=${state.key} wrong=${state.keyWrong} onKey=${this.useKey} />`}
        ${state.listing && !state.vote && html`<${Trouble} refusal=${state.listing} />`}
        <${AskForm} question=${state.question} settings=${state.settings} entries=${state.entries} problem=${state.problem} turns=${state.turns}
          voting=${voting} onAsk=${this.ask} onStop=${() => this.stopper.abort()} onEnd=${this.endTurns}
          onQuestion=${(question) => this.setState({ question, problem: null })}
          onSettings=${(change) => this.setState({ settings: { ...state.settings, ...change }, problem: null })} />
        ${state.vote && html`<${Ballot} vote=${state.vote} onShow=${(shown) => this.setState({ shown })} onFollow=${this.follow} />`}
      </div><aside>
        <${Health} models=${members} />
        <${Recent} recent=${state.recent} onAgain=${this.again} onForget=${this.forget} />
      </aside></div>`;
  }
}

const place = document.getElementById("page");
place.replaceChildren();
render(html`<${Page} />`, place);
