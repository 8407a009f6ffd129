// What a screen reader hears of new alerts: at most one sentence in a while, however many come.

import { say } from "./dom.js";
import { arrivals } from "./live.js";

const EVERY_MS = 6000;
const RANK = ["info", "low", "medium", "high", "critical"];
let waiting = [];
let timer = 0;

function tellThem(region) {
  timer = 0;
  if (!waiting.length) return;
  const worst = waiting.reduce((a, b) => (RANK.indexOf(b.severity) > RANK.indexOf(a.severity) ? b : a));
  say(
    region,
    waiting.length === 1
      ? `New alert: ${worst.severity}, ${worst.rule}`
      : `${waiting.length} new alerts, the gravest ${worst.severity}: ${worst.rule}`,
  );
  waiting = [];
  timer = setTimeout(tellThem, EVERY_MS, region);
}

/** Speak into a live region. */
export function announce(region) {
  arrivals.follow(({ alert }) => {
    if (!alert || !["high", "critical"].includes(alert.severity)) return;
    waiting.push(alert);
    if (waiting.length > 10_000) waiting = waiting.slice(-1);
    timer ||= setTimeout(tellThem, 300, region);
  });
}

let hide = 0;
/** A short message that goes by itself: what was done, or what went wrong. */
export function toast(text) {
  const box = document.getElementById("toast");
  say(box, text);
  box.hidden = false;
  clearTimeout(hide);
  hide = setTimeout(() => {
    box.hidden = true;
  }, 6000);
}
