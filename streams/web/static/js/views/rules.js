// The rules that run: their versions, how often they fire, what they cost, and what went wrong with one.

import * as badges from "../badges.js";
import { DocumentList } from "../document-list.js";
import { h, put } from "../dom.js";
import { count } from "../format.js";
import { empty } from "../list.js";
import { go } from "../router.js";
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
  ["Matches/M", "num second"],
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

export class View extends DocumentList {
  constructor(root) {
    const order = h(
      "select",
      {
        "aria-label": "Order",
        onchange: () =>
          go(
            { view: "rules", id: this.id, query: { order: order.value === "name" ? "" : order.value } },
            { replace: true },
          ),
      },
      [
        ["name", "by name"],
        ["alerts", "by alerts"],
        ["cost", "by cost"],
      ].map(([value, text]) => h("option", { value }, text)),
    );
    super(root, {
      view: "rules",
      document: "rules",
      heading: "Rules",
      label: "Rules",
      kind: "rule",
      columns: COLUMNS,
      paint,
      describe,
      tools: [order],
    });
    this.order = order;
    this.detail = new RuleDetail(() => this.shut());
    this.side.append(this.detail.element);
    this.follow();
  }

  show(place) {
    this.order.value = place.query.order in ORDERS ? place.query.order : "name";
    super.show(place);
  }

  itemsOf({ rules }) {
    const bad = (rule) => (rule.mode === "quarantined" ? 0 : 1); // what went wrong comes first
    return [...(rules ?? [])].sort((a, b) => bad(a) - bad(b) || ORDERS[this.order.value](a, b));
  }

  totalOf(rules) {
    const quarantined = rules.filter((rule) => rule.mode === "quarantined").length;
    return `${count(rules.length)} in all${quarantined ? `, ${quarantined} in quarantine` : ""}`;
  }

  open(rule) {
    if (rule) this.detail.show(rule);
  }

  none() {
    return empty(
      "No rules run",
      "The packaged rules run in every worker. Write your own and put it in force without a restart:",
      h("code", null, "m1cep rules deploy my-rule.sql"),
    );
  }
}
