// The alerts that pass a filter, newest first: pages of them from the server, new ones as they come. Bounded.

import { get } from "./api.js";
import { arrivals, hearAlerts } from "./live.js";

const PAGE = 200;
const KEPT = 5000;

/** The account that an alert is about, or an empty text. */
const accountOf = (alert) => String(alert.key?.account ?? alert.row?.account ?? "");

/** Whether an entry passes {severity: "critical,high", rule, account, state, q}; the server decides the same. */
export function passes({ alert, state }, { severity, rule, account, state: wanted, q }) {
  if (severity && !severity.split(",").includes(alert.severity)) return false;
  if (rule && alert.rule !== rule) return false;
  if (account && accountOf(alert) !== account) return false;
  if (wanted && state !== wanted) return false;
  return !q || JSON.stringify([alert.id, alert.rule, alert.key, alert.row]).toLowerCase().includes(q.toLowerCase());
}

export class AlertFeed {
  /** @param {() => void} changed called at most once a frame, and @param {(error) => void} failed when a page cannot be had */
  constructor(changed, failed) {
    Object.assign(this, {
      changed,
      failed,
      filter: {},
      entries: [],
      byId: new Map(),
      next: null,
      loading: null,
      fresh: 0,
      total: null,
    });
    this.stop = arrivals.follow((arrival) => this.hear(arrival));
  }

  /** Show what passes `filter`; gives when the first page is there. */
  async load(filter = this.filter) {
    this.filter = filter;
    this.loading?.abort();
    const abort = (this.loading = new AbortController());
    this.waiting = []; // what comes while the page is on its way
    try {
      const page = await get("/api/alerts", { ...filter, limit: PAGE }, abort.signal);
      this.byId = new Map();
      this.entries = [];
      this.append(page);
      this.total = page.total;
      hearAlerts(page.position);
    } catch (error) {
      if (error.name !== "AbortError") this.failed(error);
      return;
    } finally {
      if (this.loading === abort) this.loading = null;
    }
    for (const arrival of this.waiting.splice(0)) this.hear(arrival);
    this.tell();
  }

  append({ alerts, next }) {
    for (const entry of alerts) {
      if (this.byId.has(entry.alert.id)) continue;
      this.byId.set(entry.alert.id, entry);
      this.entries.push(entry);
    }
    this.next = next;
  }

  /** The next older page. */
  async more() {
    if (this.loading || !this.next || this.entries.length >= KEPT) return;
    const abort = (this.loading = new AbortController());
    this.waiting = [];
    try {
      this.append(await get("/api/alerts", { ...this.filter, before: this.next, limit: PAGE }, abort.signal));
    } catch (error) {
      if (error.name !== "AbortError") this.failed(error);
    } finally {
      if (this.loading === abort) this.loading = null;
    }
    for (const arrival of this.waiting.splice(0)) this.hear(arrival);
    this.tell();
  }

  hear(arrival) {
    if (arrival.reset) {
      this.load();
      return;
    }
    if (this.loading) {
      this.waiting.push(arrival);
      return;
    }
    if (arrival.record) this.settle(arrival.record);
    if (arrival.alert) this.take(arrival.alert, arrival.position);
  }

  take(alert, position) {
    const entry = { alert, state: "open", by: null, received_ms: Date.now(), position };
    if (this.byId.has(alert.id) || !passes(entry, this.filter)) return;
    this.byId.set(alert.id, entry);
    this.entries.unshift(entry);
    this.fresh += 1;
    if (this.total !== null) this.total += 1;
    if (this.entries.length > KEPT) {
      const dropped = this.entries.pop();
      this.byId.delete(dropped.alert.id);
      this.next = this.entries.at(-1).position;
    }
    this.tell();
  }

  settle({ alert, state, by }) {
    const entry = this.byId.get(alert);
    if (!entry) return;
    Object.assign(entry, { state, by });
    this.tell();
  }

  /** What is to be seen: an alert whose state changed leaves a filter by state, except while it is open beside the list. */
  shown(openId) {
    const { state } = this.filter;
    return state ? this.entries.filter((entry) => entry.state === state || entry.alert.id === openId) : this.entries;
  }

  tell() {
    if (this.frame) return;
    this.frame = setTimeout(() => {
      this.frame = 0;
      this.changed();
    }, 60);
  }

  close() {
    this.stop();
    this.loading?.abort();
    clearTimeout(this.frame);
  }
}
