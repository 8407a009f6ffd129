// The page: which view is shown, the header, the keys.

import { announce } from "./announce.js";
import { onTokenNeeded } from "./api.js";
import { askToken, showKeys } from "./dialogs.js";
import { h, put, say } from "./dom.js";
import { clock, timeTitle } from "./format.js";
import { bindPage, bindView, listen } from "./keys.js";
import { arrivals, connection, hearAlerts, start } from "./live.js";
import { address, go, here } from "./router.js";
import * as scrolling from "./scrolling.js";
import { current, onTheme, toggle } from "./theme.js";

const VIEWS = [
  ["alerts", "Alerts", "a"],
  ["overview", "Overview", "o"],
  ["grid", "Grid", "g"],
  ["custody", "Custody", "c"],
  ["reserves", "Reserves", "v"],
  ["rules", "Rules", "r"],
];
const root = document.getElementById("view");
let shown = null;
let name = null;
let turn = 0;

const links = new Map(VIEWS.map(([view, label]) => [view, h("a", { href: address({ view }) }, label)]));

async function show() {
  const place = here();
  if (!links.has(place.view)) {
    go({ view: "alerts" }, { replace: true });
    return;
  }
  const mine = ++turn;
  if (place.view !== name) {
    const { View, title } = await import(`./views/${place.view}.js`);
    if (mine !== turn) return;
    shown?.leave();
    put(root);
    name = place.view;
    shown = new View(root);
    document.title = `${title} · M1CEP`;
    for (const [view, link] of links) {
      if (view === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    bindView(shown.keys?.() ?? []);
  }
  shown.show(place);
}

async function visit(view) {
  go({ view });
  await show();
  shown.focus?.();
}

function drawConnection(place, { state, sinceMs }) {
  place.dataset.state = state;
  const since = `since ${clock(sinceMs, true)} UTC`;
  const waiting = sinceMs === null ? "No answer yet, trying again" : `Stale ${since}, reconnecting`;
  put(place, { live: "Live", connecting: "Connecting …", waiting, stale: `Stale ${since}` }[state]);
  place.title =
    sinceMs === null
      ? "Alerts and figures arrive as they are made"
      : `What you see is as old as that\n${timeTitle(sinceMs)}`;
  document.documentElement.dataset.connection = state;
}

function titleCount() {
  let unseen = 0;
  const write = () => {
    document.title = document.title.replace(/^(\(\d+\) )?/, unseen ? `(${unseen}) ` : "");
  };
  arrivals.follow(({ alert }) => {
    if (alert && document.hidden && ["high", "critical"].includes(alert.severity)) {
      unseen += 1;
      write();
    }
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) {
      unseen = 0;
      write();
    }
  });
}

function header() {
  put(document.getElementById("tabs"), [...links.values()]);
  const theme = document.getElementById("theme");
  const drawTheme = () => {
    say(theme, current() === "dark" ? "☾" : "☀");
    theme.title = theme.ariaLabel = `${current() === "dark" ? "Light" : "Dark"} colours (t)`;
  };
  theme.addEventListener("click", toggle);
  onTheme(drawTheme);
  drawTheme();
  document.getElementById("keys").addEventListener("click", showKeys);
  connection.follow((value) => drawConnection(document.getElementById("connection"), value));
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  root.focus();
  shown?.focus?.();
});
bindPage([
  ...VIEWS.map(([view, label, key]) => [`g ${key}`, label, () => visit(view)]),
  ["d", "Scroll down, in the open detail if there is one", () => scrolling.scroll(0.5)],
  ["u", "Scroll up", () => scrolling.scroll(-0.5)],
  ["t", "Dark or light", toggle],
  ["?", "These keys", showKeys],
]);
onTokenNeeded(askToken);
header();
listen();
scrolling.listen();
announce(document.getElementById("polite"));
titleCount();
addEventListener("hashchange", show);
start();
if (here().view !== "alerts") hearAlerts();
show();
