// The colours: those the system prefers, or the ones that were chosen here, which are kept for the next visit.

const KEY = "rollcall.theme";
const ORDER = ["system", "light", "dark"];
const WORDS = { system: "Colours: system", light: "Colours: light", dark: "Colours: dark" };

function kept() {
  const value = localStorage.getItem(KEY);
  return ORDER.includes(value) ? value : "system";
}

function show(theme) {
  const root = document.documentElement;
  if (theme === "system") delete root.dataset.theme;
  else root.dataset.theme = theme;
  const button = document.getElementById("theme");
  button.dataset.shows = theme;
  button.textContent = WORDS[theme];
  button.title = "Follow the system, light, or dark";
}

show(kept());
document.getElementById("theme").addEventListener("click", () => {
  const theme = ORDER[(ORDER.indexOf(kept()) + 1) % ORDER.length];
  if (theme === "system") localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, theme);
  show(theme);
});
