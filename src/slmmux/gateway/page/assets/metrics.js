// Prometheus text → figures. Nothing here touches the page.
const LINE = /^(\w+)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;
const unescaped = (text) => text.replace(/\\(.)/g, (_, sign) => (sign === "n" ? "\n" : sign));

export function parsed(text) {
  const rows = [];
  for (const line of text.split("\n")) {
    const found = line.startsWith("#") ? null : LINE.exec(line);
    if (found === null) continue;
    const labels = Object.fromEntries([...(found[2] ?? "").matchAll(LABEL)].map(([, name, value]) => [name, unescaped(value)]));
    rows.push({ name: found[1], labels, value: Number(found[3].replace("Inf", "Infinity")) });
  }
  return rows;
}

const asks = ({ labels }) => labels.path === "/v1/chat/completions" || labels.path === "/v1/completions";

function summed(rows, label) {
  const sums = new Map();
  for (const { labels, value } of rows) sums.set(labels[label], (sums.get(labels[label]) ?? 0) + value);
  return sums;
}

// Upper ends of buckets with the counts up to them, labels other than `le` added up.
const buckets = (rows) =>
  [...summed(rows, "le")].map(([le, count]) => [le === "+Inf" ? Infinity : Number(le), count]).sort(([a], [b]) => a - b);
const total = (rows) => rows.reduce((sum, { value }) => sum + value, 0);

// Everything that the charts show, as it stands at one time (in seconds).
export function snapshot(rows, time) {
  const of = (name) => rows.filter((row) => row.name === `slmmux_${name}`);
  const requests = of("requests_total").filter(asks);
  const errors = of("upstream_errors_total");
  const spared = ({ labels }) => labels.error === "LeftAloneError"; // not sent: its breaker was open
  // 499: whoever asked has left
  const failed = requests.filter(({ labels }) => Number(labels.status) >= 400 && labels.status !== "499");
  return {
    time,
    requests: total(requests),
    failed: total(failed),
    running: total(of("requests_running")),
    waiting: total(of("requests_waiting")),
    latency: buckets(of("request_seconds_bucket").filter(asks)),
    upstream: new Map(
      [...new Set(of("upstream_seconds_count").map(({ labels }) => labels.model))].map((model) => [
        model,
        buckets(of("upstream_seconds_bucket").filter(({ labels }) => labels.model === model)),
      ]),
    ),
    errors: summed(errors.filter((row) => !spared(row)), "model"),
    spared: summed(errors.filter(spared), "model"),
    draws: total(of("draws_total")),
    saved: total(of("draws_saved_total")),
    tokens: total(of("tokens_total")),
    money: total(of("money_total")),
    abstained: total(of("abstained_total")),
    confidence: buckets(of("confidence_bucket")),
    selected: summed(of("selected_total"), "model"),
  };
}

// What came on top since an earlier time; a counter that went back began anew.
export const since = (before, now) => now.map(([end, count], place) => {
  const past = before[place]?.[1] ?? 0;
  return [end, count >= past ? count - past : count];
});
export const grown = (before, now) => (now >= before ? now - before : now);

// The value below which this share lies, within its bucket by proportion; null of nothing.
export function quantile(share, counts) {
  const all = counts.at(-1)?.[1] ?? 0;
  if (all <= 0) return null;
  const wanted = share * all;
  let [from, below] = [0, 0];
  for (const [end, count] of counts) {
    if (count >= wanted && count > below) {
      return end === Infinity ? from : from + ((end - from) * (wanted - below)) / (count - below);
    }
    [from, below] = [end, count];
  }
  return from;
}

// Counts of each bucket on its own.
export const apart = (counts) => counts.map(([end, count], place) => [end, count - (counts[place - 1]?.[1] ?? 0)]);

export const WINDOW_S = 20;
const GAP = 3; // windows: so long nobody looked that nothing is known of the last one

// Series over time from snapshots: each point is over the window before it. Nothing is said of a
// time of which less is known: a rate of the first two seconds would only show when one looked.
export function series(history, windowS = WINDOW_S) {
  const pairs = history.map((now) => {
    const then = history.findLast((one) => one.time <= now.time - windowS);
    return then && now.time - then.time < GAP * windowS ? [then, now] : null;
  });
  const rate = (count) => pairs.map((pair) => pair && grown(count(pair[0]), count(pair[1])) / (pair[1].time - pair[0].time));
  const time = (share) => pairs.map((pair) => pair && quantile(share, since(pair[0].latency, pair[1].latency)));
  return {
    times: history.map((one) => one.time),
    answered: rate(({ requests, failed }) => requests - failed),
    failed: rate(({ failed }) => failed),
    median: time(0.5),
    slow: time(0.95),
    draws: rate(({ draws }) => draws),
    saved: rate(({ saved }) => saved),
  };
}
