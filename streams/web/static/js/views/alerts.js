// Alerts as they come, newest first; the chosen one beside them.

import { AlertFeed } from "../alert-feed.js";
import * as badges from "../badges.js";
import { h, put, say, typing } from "../dom.js";
import { clock, count, epochMs, measure, timeTitle } from "../format.js";
import { connection } from "../live.js";
import { List, empty } from "../list.js";
import { go, here } from "../router.js";
import { AlertDetail } from "./alert-detail.js";
import { Filters } from "./alert-filters.js";

export const title = "Alerts";
const COLUMNS = ["Severity", "Time UTC", "Rule", "Key", "Measures", "State"];

const keyText = (alert) => Object.values(alert.key).join(" · ");

function measures(alert) {
  return Object.entries(alert.row)
    .filter(([name, value]) => !(name in alert.key) && value !== null && value !== alert.event_time)
    .slice(0, 6)
    .map(([name, value]) => {
      const [label, text] = measure(name, value);
      return h("span", { class: "pair" }, h("span", { class: "dim" }, `${label} `), text);
    });
}

function paint(row, { alert, state }) {
  const mark = `${alert.id} ${state}`;
  if (row.dataset.painted === mark) return;
  row.dataset.painted = mark;
  row.className = `row alert ${alert.severity} is-${state}`;
  const atMs = epochMs(alert.event_time);
  put(
    row,
    badges.severity(alert.severity),
    h("time", { class: "mono", title: timeTitle(atMs) }, clock(atMs)),
    h("span", { class: "rule cut" }, alert.rule),
    h("span", { class: "key mono cut", title: keyText(alert) }, keyText(alert)),
    h("span", { class: "measures cut" }, measures(alert)),
    badges.state(state),
  );
}

const describe = ({ alert, state }) =>
  `${alert.severity}, ${alert.rule}, ${keyText(alert)}, ${clock(epochMs(alert.event_time), true)} UTC, ${state}`;

export class View {
  constructor(root) {
    this.filters = new Filters((query) => go({ view: "alerts", id: here().id, query }, { replace: true }));
    this.list = new List({
      label: "Alerts, newest first",
      key: (entry) => entry.alert.id,
      kind: "alert",
      paint,
      describe,
      open: (entry) => go({ view: "alerts", id: entry.alert.id, query: here().query }),
      more: () => this.feed?.more(),
    });
    this.feed = new AlertFeed(
      () => this.draw(),
      (error) => this.fail(error),
    );
    this.total = h("span", { class: "dim total" });
    this.pill = h("button", { type: "button", class: "pill", hidden: true, onclick: () => this.top() });
    this.body = h("div", { class: "list-body" }, this.list.element, this.pill);
    this.blank = h("div", { hidden: true });
    this.side = h("div", { class: "side", hidden: true });
    this.split = h(
      "div",
      { class: "split" },
      h(
        "div",
        { class: "main" },
        h(
          "div",
          { class: "columns alert", "aria-hidden": "true" },
          COLUMNS.map((name) => h("span", null, name)),
        ),
        this.body,
        this.blank,
      ),
      this.side,
    );
    root.append(
      h(
        "div",
        { class: "view alerts" },
        h("div", { class: "bar" }, h("h1", { class: "unseen" }, "Alerts"), this.filters.element, this.total),
        this.split,
      ),
    );
    this.list.element.addEventListener("scroll", () => this.count());
    this.unfollow = connection.follow(({ state }) => (state === "live" && this.error ? this.feed.load() : this.draw()));
    this.seen = 0;
  }

  show({ id, query }) {
    const filter = JSON.stringify(query);
    if (filter !== this.filter) {
      this.filter = filter;
      this.filters.show(query);
      this.feed.load(query).then(() => {
        this.draw();
        if (this.detail) this.list.reveal(this.detail.id);
      });
    }
    this.openDetail(id);
  }

  openDetail(id) {
    if ((this.detail?.id ?? null) === id) return;
    this.detail?.leave();
    this.detail = id === null ? null : new AlertDetail(id, () => this.shut());
    put(this.side, this.detail?.element);
    this.side.hidden = id === null;
    this.side.scrollTop = 0;
    this.split.classList.toggle("open", id !== null);
    this.list.pin(id !== null);
    if (id !== null) this.list.chooseKey(id);
    this.draw();
  }

  shut() {
    go({ view: "alerts", query: here().query });
    this.list.element.focus();
  }

  top() {
    this.list.chooseKey(null);
    this.list.element.scrollTop = 0;
    this.list.element.focus();
    this.count();
  }

  draw() {
    const shown = this.feed.shown(this.detail?.id);
    this.list.set(shown);
    this.error = shown.length ? null : this.error;
    this.body.hidden = !shown.length;
    this.blank.hidden = shown.length > 0;
    if (!shown.length) put(this.blank, this.why());
    const { total } = this.feed;
    say(this.total, total === null || total === undefined ? "" : `${count(total)} alert${total === 1 ? "" : "s"}`);
    this.count();
  }

  why() {
    if (this.error)
      return empty(
        "The alerts could not be read",
        `${this.error.message}. ${this.error.remedy ?? ""}`,
        h("button", { type: "button", onclick: () => this.feed.load() }, "Try again"),
      );
    if (this.feed.loading || !this.feed.entries) return empty("Reading alerts …", "");
    if (Object.keys(here().query).length)
      return empty(
        "No alert passes these filters",
        "New ones that do appear here at once.",
        h("button", { type: "button", onclick: () => this.filters.reset() }, "Clear the filters"),
      );
    return empty(
      "No alerts yet",
      "They appear here the moment a rule matches. No worker running? Start one:",
      h("code", null, "m1cep worker --agents risk"),
      h("p", null, "or look at made-up trouble in real market data:"),
      h("code", null, "m1cep demo"),
    );
  }

  fail(error) {
    this.error = error;
    this.draw();
  }

  /** How many new ones are above what is read. */
  count() {
    const at = this.list.above;
    if (at === 0) this.seen = this.feed.fresh;
    const unseen = Math.min(at, this.feed.fresh - this.seen);
    this.pill.hidden = unseen <= 0;
    say(this.pill, `${count(Math.max(unseen, 0))} new ↑`);
  }

  keys() {
    return [
      ...this.list.keys("alert"),
      [
        "/",
        "Search",
        () => {
          this.filters.q.focus();
          this.filters.q.select();
        },
      ],
      [".", "Go to the newest", () => this.top()],
      ["Escape", "Leave the field, close the detail", () => this.escape()],
      ...["a", "c", "o", "n"].map((key) => this.detailKey(key)),
    ];
  }

  detailKey(key) {
    const what = {
      a: "Acknowledge the open alert",
      c: "Close the open alert",
      o: "Reopen the open alert",
      n: "Write a note to the open alert",
    }[key];
    return [
      key,
      what,
      () =>
        this.detail
          ?.keys()
          .find(([name]) => name === key)[2](),
    ];
  }

  escape() {
    if (typing()) document.activeElement.blur();
    else if (this.detail) this.shut();
  }

  focus() {
    this.list.element.focus();
  }

  leave() {
    this.detail?.leave();
    this.unfollow();
    this.filters.close();
    this.feed.close();
    this.list.close();
  }
}
