// The reader's choice of light or dark, before anything is drawn.
try {
  const chosen = localStorage.getItem("slmmux.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Storage is forbidden here: the system's colours stay.
}
