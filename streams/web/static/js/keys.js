// Keys: what they do, for the page and for the view that is shown; sequences as "g a". The list behind "?" is made from the same.

import { typing } from "./dom.js";

const SEQUENCE_MS = 1200;
const OFF = "m1cep.keys";
const page = new Map();
let view = new Map();
let begun = "";
let timer = 0;

export const enabled = () => {
  try {
    return localStorage.getItem(OFF) !== "off";
  } catch {
    return true;
  }
};

/** Single-letter keys can be turned off: they get in the way of speech input. */
export function enable(on) {
  try {
    localStorage.setItem(OFF, on ? "on" : "off");
  } catch {
    /* stays for this page */
  }
}

const table = (entries) => new Map(entries.map(([keys, what, run]) => [keys, { what, run }]));

/** Keys of the whole page: [[keys, what, run], ...]. */
export const bindPage = (entries) => table(entries).forEach((value, key) => page.set(key, value));

/** Keys of the view that is shown now; they replace the last view's. */
export const bindView = (entries) => {
  view = table(entries);
};

/** All keys with what they do: {page: [[keys, what]], view: [...]}. */
export const listed = () => ({
  view: [...view].map(([keys, { what }]) => [keys, what]),
  page: [...page].map(([keys, { what }]) => [keys, what]),
});

const NAMES = { ArrowDown: "↓", ArrowUp: "↑", " ": "Space" };

function onKey(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]")) return;
  const key = NAMES[event.key] ?? event.key;
  if (typing() && key !== "Escape") return;
  if (key.length === 1 && !enabled()) return;
  const keys = begun ? `${begun} ${key}` : key;
  const found = view.get(keys) ?? page.get(keys);
  clearTimeout(timer);
  begun = "";
  if (found) {
    if (key === "Enter" && document.activeElement?.matches("a, button, summary, [role=option]")) return;
    event.preventDefault();
    found.run(event);
  } else if ([...view.keys(), ...page.keys()].some((each) => each.startsWith(`${keys} `))) {
    begun = keys;
    timer = setTimeout(() => {
      begun = "";
    }, SEQUENCE_MS);
  }
}

export const listen = () => addEventListener("keydown", onKey);
