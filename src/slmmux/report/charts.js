// Charts: drawn one after the other, those in view first; their data as tables and files.
const config = JSON.parse(byId("config").textContent);

function chartData(name) {
  const { spec, columns, rows } = JSON.parse(byId(`data-${name}`).textContent);
  const records = rows.map((row) => Object.fromEntries(columns.map((column, i) => [column, row[i]])));
  return { spec, columns, rows, records };
}

function cutOff(place) {
  const edge = place.querySelector("svg").getBoundingClientRect().right;
  return [...place.querySelectorAll(".role-legend")].some((legend) => legend.getBoundingClientRect().right > edge + 1);
}

async function draw(figure) {
  const { spec, records } = chartData(figure.dataset.chart);
  const place = figure.querySelector(".chart");
  const names = Math.round(Math.min(260, place.clientWidth * 0.42));
  const embed = (columns) => vegaEmbed(place, { ...spec, datasets: { rows: records } }, {
    mode: "vega-lite",
    renderer: "svg",
    actions: false,
    ast: true, // expressions are interpreted: the page allows no code that is made from text
    config: { ...config, axisY: { ...config.axisY, labelLimit: names }, legend: { ...config.legend, columns } },
  });
  let columns = Math.max(1, Math.floor((place.clientWidth - 100) / 130));
  let result = await embed(columns);
  // A legend begins where the axis does, and how broad that is shows only when it is drawn.
  while (columns > 1 && cutOff(place)) {
    result.finalize();
    result = await embed((columns -= 1));
  }
  place.style.minHeight = "0";
  figure.view = result.view;
  figure.dataset.drawn = "yes";
}

// The colours that the picture takes from the page, put in.
function picture(figure) {
  const style = getComputedStyle(document.documentElement);
  const clone = figure.querySelector(".chart svg").cloneNode(true);
  clone.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  clone.style.background = style.getPropertyValue("--page");
  const text = new XMLSerializer().serializeToString(clone);
  return text.replace(/var\((--[a-z0-9]+)\)/g, (_, name) => style.getPropertyValue(name).trim());
}

async function pixels(figure) {
  const svg = figure.querySelector(".chart svg");
  const image = new Image();
  image.src = URL.createObjectURL(new Blob([picture(figure)], { type: "image/svg+xml" }));
  await image.decode();
  const canvas = make("canvas", { width: svg.clientWidth * 2, height: svg.clientHeight * 2 });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

function csv(columns, rows) {
  const cell = (value) => (value === null ? "" : /[",\n\r]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value);
  return [columns, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

function showData(figure) {
  const name = figure.dataset.chart;
  const { columns, rows, records } = chartData(name);
  const button = (label, action) => {
    const made = make("button", { type: "button" }, label);
    made.addEventListener("click", action);
    return made;
  };
  figure.querySelector(".files").append(
    button("CSV", () => save(`${name}.csv`, csv(columns, rows), "text/csv")),
    button("JSON", () => save(`${name}.json`, JSON.stringify(records, null, 1), "application/json")),
    button("SVG", () => save(`${name}.svg`, picture(figure), "image/svg+xml")),
    button("PNG", async () => save(`${name}.png`, await pixels(figure))),
  );
  const shown = (value) => (typeof value === "number" ? +value.toFixed(4) : value ?? "–");
  const words = columns.map((_, i) => rows.some((row) => typeof row[i] === "string"));
  const line = (tag, row) =>
    make("tr", {}, ...row.map((value, i) => make(tag, { class: words[i] ? "word" : null }, String(shown(value)))));
  figure.querySelector(".rows").append(
    make("table", {}, make("thead", {}, line("th", columns)), make("tbody", {}, ...rows.map((row) => line("td", row)))),
  );
}

const waiting = new Set(document.querySelectorAll("figure[data-chart]"));
let drawing = false;

async function drawNext() {
  if (drawing) return;
  drawing = true;
  while (waiting.size) {
    const seen = [...waiting].find((figure) => {
      const box = figure.getBoundingClientRect();
      return box.bottom > 0 && box.top < innerHeight;
    });
    const figure = seen ?? [...waiting][0];
    waiting.delete(figure);
    await draw(figure).catch((error) => {
      figure.querySelector(".chart").textContent = `This chart could not be drawn: ${error.message}`;
    });
    await new Promise((done) => setTimeout(done)); // let the page answer in between
  }
  document.documentElement.dataset.charts = "drawn";
  drawing = false;
}

for (const details of document.querySelectorAll("details.data")) {
  details.addEventListener("toggle", () => showData(details.closest("figure")), { once: true });
}
drawNext();
