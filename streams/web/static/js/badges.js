// Small marks that mean the same everywhere. Never colour alone: each has a shape or a word.

import { h, svg } from "./dom.js";

const SHAPES = {
  critical: "M6 0.4 11.6 6 6 11.6 0.4 6Z", // diamond
  high: "M6 1 11.4 10.8H0.6Z", // triangle
  medium: "M1.4 1.4H10.6V10.6H1.4Z", // square
  low: "M6 1.2A4.8 4.8 0 1 1 5.99 1.2Z", // disc
  info: "M1 4.8H11V7.2H1Z", // dash
};
const STATES = { open: "Open", acknowledged: "Ack", closed: "Closed" };

export const SEVERITIES = ["critical", "high", "medium", "low", "info"];

/** A severity: its shape, and its word. */
export function severity(name) {
  const known = name in SHAPES ? name : "info";
  return h(
    "span",
    { class: `severity ${known}` },
    svg(
      "svg",
      { viewBox: "0 0 12 12", width: 11, height: 11, "aria-hidden": "true" },
      svg("path", { d: SHAPES[known] }),
    ),
    h("span", { class: "word" }, name),
  );
}

/** What became of an alert. */
export const state = (name) => h("span", { class: `chip state-${name}` }, STATES[name] ?? name);

/** A mode, status or answer: a chip with its word; `tone` is good, bad, warn or quiet. */
export const chip = (text, tone = "quiet", title = null) => h("span", { class: `chip ${tone}`, title }, text);

/** Buy or sell: an arrow, a word, a colour. */
export function side(name) {
  const buys = ["buy", "bid"].includes(String(name).toLowerCase());
  return h("span", { class: buys ? "buy" : "sell" }, h("span", { "aria-hidden": "true" }, buys ? "▲ " : "▼ "), name);
}

/** m of n as segments: given, refused, still to come; a gap after the one that is enough. */
export function progress(given, refused, needed, all) {
  const parts = Array.from({ length: all }, (_, at) =>
    h("i", {
      class: `${at < given ? "yes" : at >= all - refused ? "no" : ""} ${at === needed - 1 && needed < all ? "enough" : ""}`,
    }),
  );
  return h(
    "span",
    {
      class: "progress",
      role: "img",
      "aria-label": `${given} of ${needed} needed${refused ? `, ${refused} refused` : ""}`,
    },
    h("span", { class: "segments", "aria-hidden": "true" }, parts),
    h("span", { "aria-hidden": "true" }, `${Math.min(given, needed)}/${needed}`),
  );
}
