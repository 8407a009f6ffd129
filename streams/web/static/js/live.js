// What the page knows, kept current: one stream of alerts, one of documents, and how fresh they are.

import { get } from "./api.js";
import { Stream } from "./sse.js";

const DOCUMENTS = ["overview", "rules", "grids", "custody", "reserves"];
const STALE_MS = 10_000; // the overview comes once a second

/** A value that others can follow; without `kept` only what comes while they do. */
class Signal {
  constructor(value = null, kept = true) {
    this.value = value;
    this.kept = kept;
    this.followers = new Set();
  }

  set(value) {
    if (this.kept) this.value = value;
    for (const follow of [...this.followers]) follow(value);
  }

  /** Call `follow` with every value from now on, and with the present one if there is one; gives a function that ends it. */
  follow(follow) {
    this.followers.add(follow);
    if (this.value !== null) follow(this.value);
    return () => this.followers.delete(follow);
  }
}

export const documents = Object.fromEntries(DOCUMENTS.map((name) => [name, new Signal()]));
/** {state: connecting | live | waiting (to try again) | stale, sinceMs: as old is what is shown, null if nothing is}. */
export const connection = new Signal({ state: "connecting", sinceMs: null });
/** Events without a lasting value: {alert} came, {record} says an alert's state, {reset} means that some were missed. */
export const arrivals = new Signal(null, false);

const heard = { events: "connecting", live: "connecting" };
let lastDocumentMs = null; // nothing was heard yet

function judge() {
  const states = Object.values(heard);
  const never = lastDocumentMs === null;
  const old = !never && Date.now() - lastDocumentMs > STALE_MS && !document.hidden;
  const state = states.includes("waiting")
    ? "waiting"
    : old
      ? "stale"
      : never || states.includes("connecting")
        ? "connecting"
        : "live";
  if (state === connection.value.state) return;
  const sinceMs = never || state === "live" ? null : lastDocumentMs;
  connection.set({ state, sinceMs });
}

const tell = (name) => (state) => {
  heard[name] = state;
  judge();
};

const alertStream = new Stream(
  "/events",
  ({ event, data, id }) => {
    if (event === "reset") arrivals.set({ reset: true });
    else if (event === "message") arrivals.set({ alert: JSON.parse(data), position: id });
  },
  tell("events"),
);

const documentStream = new Stream(
  "/live",
  ({ event, data }) => {
    lastDocumentMs = Date.now();
    if (event === "states") arrivals.set({ record: JSON.parse(data) });
    else documents[event]?.set(JSON.parse(data));
    judge();
  },
  tell("live"),
);

/** Ask for a document now; the stream sends it again when it changes. */
export async function refresh(name) {
  const value = await get(`/api/${name}`);
  documents[name].set(value);
  return value;
}

/** Hear alerts; from `position` on, which came with a page of them, if none was heard yet. */
export function hearAlerts(position = null) {
  alertStream.last ??= position;
  alertStream.open();
}

/** Open the streams; the alerts' when a first page has said from where, or soon. A hidden tab closes that of the documents: browsers allow few connections, and nobody looks. */
export function start() {
  documentStream.open();
  setTimeout(hearAlerts, 3000);
  setInterval(judge, 1000);
  addEventListener("online", () => {
    alertStream.hurry();
    documentStream.hurry();
  });
  document.addEventListener("visibilitychange", () => {
    if (lastDocumentMs !== null) lastDocumentMs = Date.now();
    if (document.hidden) {
      documentStream.close();
      heard.live = "connecting";
    } else {
      documentStream.open();
      alertStream.hurry();
    }
  });
}
