// One alert: what was measured, the events that led to it, the rule that says so, and what people did about it.

import { get, post } from "../api.js";
import { toast } from "../announce.js";
import * as badges from "../badges.js";
import { h, put } from "../dom.js";
import { ago, clock, epochMs, measure, moment, timeTitle } from "../format.js";
import { arrivals } from "../live.js";
import { address } from "../router.js";
import { block, withoutFront } from "../sql.js";
import { timeline } from "../timeline.js";

const ACTIONS = [
  ["acknowledged", "Acknowledge", "a"],
  ["closed", "Close", "c"],
  ["open", "Reopen", "o"],
];

const pairs = (entries) =>
  h(
    "dl",
    { class: "pairs-list" },
    entries.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))),
  );
const section = (title, ...content) => h("section", { class: "block" }, h("h2", null, title), content);

export class AlertDetail {
  /** @param {() => void} close leaves the detail */
  constructor(id, close) {
    Object.assign(this, { id, close, state: "open", busy: false });
    this.note = h("input", {
      class: "note-input",
      type: "text",
      maxlength: 500,
      placeholder: "Note (optional)",
      "aria-label": "Note",
      autocomplete: "off",
    });
    this.buttons = ACTIONS.map(([state, label, key]) =>
      h("button", { type: "button", title: `${label} (${key})`, onclick: () => this.set(state) }, label),
    );
    this.status = h("p", { class: "state-line", role: "status" });
    this.content = h("div", { class: "detail-content" });
    this.element = h("article", { class: "detail", "aria-label": "Alert" }, this.content);
    this.stop = arrivals.follow(({ record }) => {
      if (record?.alert === id) this.showState(record);
    });
    this.load();
  }

  async load() {
    put(this.content, h("div", { class: "waiting" }, "Looking up the events of this alert …"));
    try {
      this.show(await get(`/api/alerts/${encodeURIComponent(this.id)}`));
    } catch (error) {
      put(
        this.content,
        this.head(null),
        h("p", { class: "note warn" }, `${error.message}. ${error.remedy ?? ""}`),
        h("button", { type: "button", onclick: () => this.load() }, "Try again"),
      );
    }
  }

  head(document) {
    const leave = h(
      "button",
      { type: "button", class: "ghost back", title: "Back to the list (Esc)", onclick: this.close },
      "×",
      h("span", { class: "unseen" }, "Close the detail"),
    );
    if (!document) return h("header", { class: "detail-head" }, h("h1", { class: "grow" }, "Alert"), leave);
    const { alert, rule } = document;
    return h(
      "header",
      { class: "detail-head" },
      badges.severity(alert.severity),
      h("h1", { class: "grow cut" }, h("a", { href: address({ view: "rules", id: alert.rule }) }, alert.rule)),
      rule?.version
        ? h(
            "span",
            { class: "dim mono cut", title: `version ${rule.version}` },
            `v ${String(rule.version).slice(0, 12)}`,
          )
        : null,
      leave,
    );
  }

  show(document) {
    const { alert, rule, state, lists, received_ms: receivedMs, events, missing } = document;
    const atMs = epochMs(alert.event_time);
    const versions = Object.entries({ ...lists, ...alert.params });
    put(
      this.content,
      this.head(document),
      rule?.summary ? h("p", { class: "summary" }, rule.summary) : null,
      pairs([
        ...Object.entries(alert.key).map(([name, value]) => [
          name,
          h(
            "a",
            {
              href: address({ view: "alerts", query: name === "account" ? { account: value } : { q: value } }),
              title: "Alerts of the same",
            },
            String(value),
          ),
        ]),
        [
          "event time",
          h("time", { class: "mono", title: timeTitle(atMs) }, `${moment(atMs)}.${clock(atMs).split(".")[1]} UTC`),
        ],
        [
          "received",
          receivedMs ? h("time", { class: "mono", title: timeTitle(receivedMs) }, `${moment(receivedMs)} UTC`) : "–",
        ],
      ]),
      h("div", { class: "acts" }, this.note, this.buttons),
      this.status,
      section(
        "Measures",
        pairs(
          Object.entries(alert.row)
            .filter(([name]) => !(name in alert.key))
            .map(([name, value]) => measure(name, value)),
        ),
      ),
      section(`Events (${events.length + missing.length})`, timeline(events, missing, alert.key)),
      rule?.sql
        ? section(
            "Rule",
            Object.keys(rule.params ?? {}).length
              ? pairs(Object.entries(rule.params).map(([name, value]) => [name, String(value)]))
              : null,
            block(withoutFront(rule.sql), "SQL of the rule"),
            rule.source ? h("p", { class: "dim source" }, rule.source) : null,
          )
        : null,
      versions.length ? section("Versions of lists and parameters", pairs(versions)) : null,
      h("p", { class: "dim id mono" }, alert.id),
    );
    this.showState(state ?? { state: "open" });
  }

  showState({ state, by, time_ms: timeMs, note }) {
    this.state = state;
    ACTIONS.forEach(([name], at) => {
      this.buttons[at].hidden = name === state || (name === "acknowledged" && state === "closed");
    });
    put(
      this.status,
      badges.state(state),
      by
        ? h("span", null, ` by ${by}`, timeMs ? h("time", { title: timeTitle(timeMs) }, `, ${ago(timeMs)}`) : null)
        : h("span", { class: "dim" }, " nobody has answered yet"),
      note ? h("q", null, note) : null,
    );
  }

  /** Say what became of the alert. */
  async set(state) {
    if (this.busy || state === this.state) return;
    this.busy = true;
    try {
      const record = await post(`/api/alerts/${encodeURIComponent(this.id)}/state`, {
        state,
        note: this.note.value.trim(),
      });
      this.note.value = "";
      arrivals.set({ record });
    } catch (error) {
      toast(`Not saved: ${error.message}. ${error.remedy ?? ""}`);
    } finally {
      this.busy = false;
    }
  }

  keys() {
    return [
      ...ACTIONS.map(([state, label, key]) => [key, label, () => this.set(state)]),
      ["n", "Write a note", () => this.note.focus()],
    ];
  }

  leave() {
    this.stop();
  }
}
