// The rules that run: their versions, how often they fire, what they cost, and what went wrong with one.

import * as badges from "../badges.js";
import { h, put, say } from "../dom.js";
import { count } from "../format.js";
import { documents, refresh } from "../live.js";
import { List, empty } from "../list.js";
import { go, here } from "../router.js";
import { RuleDetail, cost, counted, mode, perMillion } from "./rule-detail.js";

export const title = "Rules";

const ORDERS = {
  name: (a, b) => a.id.localeCompare(b.id),
  alerts: (a, b) => (b.alerts_per_h ?? 0) - (a.alerts_per_h ?? 0) || a.id.localeCompare(b.id),
  cost: (a, b) => (b.cost_us_per_event ?? 0) - (a.cost_us_per_event ?? 0) || a.id.localeCompare(b.id),
};
const COLUMNS = [
  ["Severity"],
  ["Rule"],
  ["Mode"],
  ["Finds", "second"],
  ["Alerts/h", "num"],
  ["Per M events", "num second"],
  ["Cost", "num"],
  ["Open", "num second"],
];

function paint(row, rule) {
  row.className = `row rule is-${rule.mode}`;
  put(
    row,
    badges.severity(rule.severity ?? "info"),
    h("span", { class: "name cut" }, rule.id),
    mode(rule.mode),
    h("span", { class: "cut dim second" }, rule.reason && rule.mode === "quarantined" ? rule.reason : rule.summary),
    h("span", { class: "num" }, count(rule.alerts_per_h)),
    h("span", { class: "num second" }, perMillion(rule)),
    h("span", { class: "num" }, cost(rule.cost_us_per_event)),
    h("span", { class: "num second" }, counted(rule, "open")),
  );
}

const describe = (rule) =>
  `${rule.id}, ${rule.severity}, ${rule.mode}, ${count(rule.alerts_per_h)} alerts an hour, ${cost(rule.cost_us_per_event)} an event`;

export class View {
  constructor(root) {
    this.list = new List({
      label: "Rules",
      key: ({ id }) => id,
      kind: "rule",
      paint,
      describe,
      open: ({ id }) => go({ view: "rules", id, query: here().query }),
    });
    this.detail = new RuleDetail(() => this.shut());
    this.total = h("span", { class: "dim" });
    this.order = h(
      "select",
      {
        "aria-label": "Order",
        onchange: () =>
          go(
            { view: "rules", id: this.id, query: { order: this.order.value === "name" ? "" : this.order.value } },
            { replace: true },
          ),
      },
      [
        ["name", "by name"],
        ["alerts", "by alerts"],
        ["cost", "by cost"],
      ].map(([value, text]) => h("option", { value }, text)),
    );
    this.side = h("div", { class: "side", hidden: true }, this.detail.element);
    this.blank = h("div");
    this.columns = h(
      "div",
      { class: "columns rule", "aria-hidden": "true" },
      COLUMNS.map(([name, kind]) => h("span", { class: kind ?? "" }, name)),
    );
    this.split = h(
      "div",
      { class: "split" },
      h("div", { class: "main" }, this.columns, this.list.element, this.blank),
      this.side,
    );
    root.append(
      h(
        "div",
        { class: "view" },
        h("div", { class: "bar" }, h("h1", null, "Rules"), this.total, h("span", { class: "grow" }), this.order),
        this.split,
      ),
    );
    this.stop = documents.rules.follow(() => this.draw());
    refresh("rules").catch((error) => {
      this.error = error;
      this.draw();
    });
  }

  show({ id, query }) {
    this.id = id;
    this.order.value = query.order in ORDERS ? query.order : "name";
    this.draw();
    if (id !== null) this.list.chooseKey(id);
  }

  shut() {
    go({ view: "rules", query: here().query });
    this.list.element.focus();
  }

  draw() {
    const value = documents.rules.value;
    const bad = (rule) => (rule.mode === "quarantined" ? 0 : 1); // what went wrong comes first
    const rules = [...(value?.rules ?? [])].sort((a, b) => bad(a) - bad(b) || ORDERS[this.order.value](a, b));
    this.list.set(rules);
    for (const part of [this.list.element, this.columns]) part.hidden = !rules.length;
    this.blank.hidden = rules.length > 0;
    if (!rules.length) put(this.blank, this.why(value));
    const quarantined = rules.filter((rule) => rule.mode === "quarantined").length;
    say(this.total, value ? `${count(rules.length)} in all${quarantined ? `, ${quarantined} in quarantine` : ""}` : "");
    const open = rules.find(({ id }) => id === this.id);
    this.side.hidden = !open;
    this.split.classList.toggle("open", Boolean(open));
    if (open) this.detail.show(open);
    this.list.draw();
  }

  why(value) {
    if (this.error) return empty("The rules could not be read", `${this.error.message}. ${this.error.remedy ?? ""}`);
    if (!value) return empty("Reading rules …", "");
    return empty(
      "No rules run",
      "The packaged rules run in every worker. Write your own and put it in force without a restart:",
      h("code", null, "m1cep rules deploy my-rule.sql"),
    );
  }

  keys() {
    return [
      ...this.list.keys("rule"),
      [
        "Escape",
        "Close the detail",
        () => {
          if (this.id) this.shut();
        },
      ],
    ];
  }

  focus() {
    this.list.element.focus();
  }

  leave() {
    this.stop();
    this.list.close();
  }
}
