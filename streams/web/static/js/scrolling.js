// Scrolling by keys where the focus is nowhere: browsers then scroll the page as a whole, and this one stands still.

import { typing } from "./dom.js";

const SCREEN = 0.9; // of what is seen: some lines stay, to find one's place
const SHARES = { PageDown: SCREEN, PageUp: -SCREEN, " ": SCREEN, End: Infinity, Home: -Infinity };

/** What a reader means: the open detail, else the list, else the view. */
const area = () =>
  document.querySelector(".split.open > .side") ??
  document.querySelector("main .list:not([hidden])") ??
  document.querySelector("main");

/** Scroll by this share of what is seen; below nought: up. */
export function scroll(share) {
  const place = area();
  const { clientHeight, scrollHeight, scrollTop } = place;
  place.scrollTop = Math.max(0, Math.min(scrollHeight, scrollTop + share * clientHeight));
}

function onKey(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || !(event.key in SHARES)) return;
  if (typing() || document.activeElement !== document.body || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  scroll(SHARES[event.key] * (event.key === " " && event.shiftKey ? -1 : 1));
}

export const listen = () => addEventListener("keydown", onKey);
