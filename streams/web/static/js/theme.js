// Dark or light: the system's wish until the reader says otherwise.

const KEPT = "m1cep.theme";
const SYSTEM = matchMedia("(prefers-color-scheme: light)");
const followers = new Set();

const kept = () => {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null;
  }
};

export const current = () => document.documentElement.dataset.theme;

function show(theme) {
  document.documentElement.dataset.theme = theme;
  for (const follow of followers) follow(theme);
}

/** Change to the other colours and remember it. */
export function toggle() {
  const next = current() === "dark" ? "light" : "dark";
  try {
    localStorage.setItem(KEPT, next);
  } catch {
    /* for this page only */
  }
  show(next);
}

/** Call when the colours change: charts draw with them. */
export function onTheme(follow) {
  followers.add(follow);
  return () => followers.delete(follow);
}

/** A colour of tokens.css by its name, as charts need it. */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

SYSTEM.addEventListener("change", () => {
  if (!kept()) show(SYSTEM.matches ? "light" : "dark");
});
