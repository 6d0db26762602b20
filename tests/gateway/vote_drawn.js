// Draws a vote as the page does, and names each pair of its parts that lie on each other, each part
// that sticks out of its row, and each row of samples that is torn into a pile.
async ({ names, k, phase }) => {
  const [{ Ballot }, { begun, heard }, { html, render }] = await Promise.all(
    ["ballot", "vote", "dom"].map((name) => import(`./assets/${name}.js`)));
  let vote = begun("What is 6 × 7?", { id: "pool", models: names }, k);
  const answer = (n) => ({ key: `${n % 3}`, text: ["42", "forty-one and a half", "x".repeat(90)][n % 3] });
  names.forEach((model, m) => {
    for (let index = 0; index < (phase === "voting" ? Math.ceil(k / 2) : k); index += 1) {
      const sample = { model, index, text: "said", error: null, latency_s: 1, answer: answer(m + (index > k / 2)) };
      vote = heard(vote, { slmmux: { sample } });
    }
  });
  if (phase === "decided") {
    const outcome = {
      answer: "42", decided_by: names[0], confidence: { low: 0.6, high: 0.6 }, draws_saved: 0, cost: null,
      budget: names.length * k, elapsed_s: 1.2, kind: "math", exact: true, degraded: { [names.at(-1)]: `${names.at(-1)}: out of memory` },
      reason: `${names[0]} agrees with itself most`, tallies: names.map((model) => ({ model, k })),
    };
    vote = heard(heard(vote, { choices: [{ delta: { content: "It is **42**." } }] }), { slmmux: outcome });
  }
  const place = document.createElement("main");
  document.body.append(place);
  render(html`<div class="parts"><div><${Ballot} vote=${vote} onShow=${() => {}} onFollow=${() => {}} /></div><aside>x</aside></div>`, place);
  const faults = [];
  const box = (one) => one.getBoundingClientRect();
  const said = (one) => `${one.className || one.localName} (${one.textContent.slice(0, 20)})`;
  const apart = (a, b) => a.right <= b.left + 0.5 || b.right <= a.left + 0.5 || a.bottom <= b.top + 0.5 || b.bottom <= a.top + 0.5;
  const within = (a, b) => a.left >= b.left - 0.5 && a.right <= b.right + 0.5 && a.top >= b.top - 0.5 && a.bottom <= b.bottom + 0.5;
  const check = (parts, whole) => parts.forEach((one, n) => {
    if (!within(box(one), box(whole))) faults.push(`${said(one)} sticks out of ${said(whole)}`);
    for (const other of parts.slice(n + 1)) if (!apart(box(one), box(other))) faults.push(`${said(one)} lies on ${said(other)}`);
  });
  for (const lane of place.querySelectorAll(".lane")) {
    const slots = [...lane.querySelectorAll(".slot")];
    check([...lane.querySelectorAll(".name, .bar, .count"), ...slots], lane);
    check([...lane.children], lane);
    const rows = new Set(slots.map((one) => Math.round(box(one).top))).size;
    if (rows > Math.ceil(k / 5)) faults.push(`${k} samples stand in ${rows} rows`);
    if (box(lane.querySelector(".bar")).width < 48) faults.push("the bar has no room");
  }
  for (const row of place.querySelectorAll(".class, .lanes, .classes, .key")) check([...row.children], row);
  check([...place.querySelectorAll(".ballot > *")], place.querySelector(".ballot"));
  check([...place.querySelector(".parts").children], place);
  const wide = document.documentElement.scrollWidth;
  if (wide > innerWidth) faults.push(`the page is ${wide} wide`);
  render(null, place);
  place.remove();
  return faults;
}
