// What this browser keeps: settings and recent questions for good, the API key for this tab only.
function read(store, name, otherwise) {
  try {
    return JSON.parse(store().getItem(name)) ?? otherwise;
  } catch {
    return otherwise; // forbidden, or not ours
  }
}

function write(store, name, value) {
  try {
    if (value === null) store().removeItem(name);
    else store().setItem(name, JSON.stringify(value));
  } catch {
    // forbidden or full: the page works without
  }
}

const lasting = () => localStorage;
const session = () => sessionStorage;
const MOST = 20;

const isAsked = (one) => typeof one?.question === "string" && typeof one.settings === "object";

export const recentQuestions = () => {
  const kept = read(lasting, "slmmux.recent", []);
  return Array.isArray(kept) ? kept.filter(isAsked) : [];
};
export const keepQuestion = (asked) => {
  const others = recentQuestions().filter((one) => one.question !== asked.question);
  write(lasting, "slmmux.recent", [asked, ...others].slice(0, MOST));
};
export const forgetQuestions = () => write(lasting, "slmmux.recent", null);

export const apiKey = () => String(read(session, "slmmux.key", ""));
export const keepKey = (key) => write(session, "slmmux.key", key || null);

export function keepTheme(theme) {
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("slmmux.theme", theme);
  } catch {
    // until the page is left, then
  }
}
