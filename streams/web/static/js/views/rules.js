// The rules that run: their versions, how often they fire, what they cost, and what went wrong with one.

import * as badges from "../badges.js";
import { h, put, say } from "../dom.js";
import { count, moment, number, short, timeTitle } from "../format.js";
import { documents, refresh } from "../live.js";
import { List, empty } from "../list.js";
import { address, go, here } from "../router.js";
import { block, difference, withoutFront } from "../sql.js";

export const title = "Rules";

const MODES = { active: ["active", "good"], shadow: ["shadow", "quiet"], quarantined: ["quarantined", "bad"], disabled: ["disabled", "warn"], proposed: ["proposed", "warn"] };
const ORDERS = {
  name: (a, b) => a.id.localeCompare(b.id), alerts: (a, b) => (b.alerts_per_h ?? 0) - (a.alerts_per_h ?? 0) || a.id.localeCompare(b.id),
  cost: (a, b) => (b.cost_us_per_event ?? 0) - (a.cost_us_per_event ?? 0) || a.id.localeCompare(b.id),
};
const COLUMNS = [["Severity"], ["Rule"], ["Mode"], ["Finds", "second"], ["Alerts/h", "num"], ["Per M events", "num second"], ["Cost", "num"], ["Open", "num second"]];

const mode = (name) => badges.chip(...(MODES[name] ?? [name, "quiet"]));
const cost = (us) => (us === null || us === undefined ? "–" : `${us.toFixed(2)} µs`);
const perMillion = ({ matches, events }) => (events ? number((matches / events) * 1e6, 3) : "–");

/** A counter of the workers; none where no worker has told of the rule. */
const counted = (rule, name) => (rule.events === null || rule.events === undefined ? "–" : count(rule[name]));

function paint(row, rule) {
  row.className = `row rule is-${rule.mode}`;
  put(row, badges.severity(rule.severity ?? "info"), h("span", { class: "name cut" }, rule.id), mode(rule.mode), h("span", { class: "cut dim second" }, rule.reason && rule.mode === "quarantined" ? rule.reason : rule.summary),
    h("span", { class: "num" }, count(rule.alerts_per_h)), h("span", { class: "num second" }, perMillion(rule)), h("span", { class: "num" }, cost(rule.cost_us_per_event)), h("span", { class: "num second" }, counted(rule, "open")));
}

const describe = (rule) => `${rule.id}, ${rule.severity}, ${rule.mode}, ${count(rule.alerts_per_h)} alerts an hour, ${cost(rule.cost_us_per_event)} an event`;
const fact = (name, value) => h("div", null, h("dt", null, name), h("dd", null, value));

class Detail {
  constructor(close) {
    this.text = h("div");
    this.close = close;
    this.element = h("article", { class: "detail", "aria-label": "Rule" });
  }

  show(rule) {
    const mark = JSON.stringify([rule.id, rule.version, rule.mode, rule.reason, rule.before, rule.running]);
    if (mark !== this.mark) this.build(rule);
    this.mark = mark;
    put(this.figures, fact("events", short(rule.events)), fact("matches", counted(rule, "matches")), fact("alerts", counted(rule, "alerts")), fact("alerts, last hour", count(rule.alerts_per_h)),
      fact("matches in a million events", perMillion(rule)), fact("cost of an event", cost(rule.cost_us_per_event)), fact("open attempts", counted(rule, "open")));
  }

  build(rule) {
    const { id, version, severity, summary, source, origin, by, note, approved_by: approver, time_ms: ms, sql, params, reason, before, action } = rule;
    this.figures = h("dl", { class: "pairs-list" });
    const given = Object.entries(params ?? {});
    const where = { packaged: "came with this version", file: "from a file of the worker", topic: "deployed" }[origin] ?? origin;
    put(this.element, h("div", { class: "detail-content" },
      h("header", { class: "detail-head" }, badges.severity(severity ?? "info"), h("h1", { class: "grow cut" }, id), mode(rule.mode), h("button", { type: "button", class: "ghost back", title: "Back to the list (Esc)", onclick: this.close }, "×", h("span", { class: "quiet" }, "Close the detail"))),
      h("p", { class: "summary" }, summary),
      reason ? h("p", { class: "note warn" }, h("b", null, rule.mode === "quarantined" ? "In quarantine: " : "Problem: "), reason) : null,
      h("p", { class: "grid-bar" }, h("span", null, h("span", { class: "dim" }, "version "), h("b", { class: "mono" }, version)), h("span", { class: "dim" }, where, by ? ` by ${by}` : null, approver ? `, approved by ${approver}` : null, ms ? h("time", { title: timeTitle(ms) }, `, ${moment(ms)} UTC`) : null),
        action && action !== "alert" ? badges.chip(action.replaceAll("_", " "), "warn", "What happens besides the alert") : null, h("a", { href: address({ view: "alerts", query: { rule: id } }) }, "its alerts")),
      note ? h("p", null, h("q", null, note)) : null, this.figures,
      given.length ? h("section", { class: "block" }, h("h2", null, "Parameters"), h("dl", { class: "pairs-list" }, given.map(([name, value]) => fact(name, String(value))))) : null,
      h("section", { class: "block" }, h("h2", null, "SQL"), this.text, source ? h("p", { class: "dim source" }, source) : null),
      before?.length ? this.versions(rule) : null));
    this.showText(rule, null);
  }

  showText({ sql, version }, old) {
    if (!sql) put(this.text, h("p", { class: "dim" }, "No worker here knows the text of this rule."));
    else if (old) put(this.text, h("p", { class: "grid-bar" }, h("span", null, `From ${old.version} (−) to ${version} (+)`)), difference(old.text, sql, `What changed from ${old.version} to ${version}`));
    else put(this.text, block(withoutFront(sql), "SQL of the rule"));
  }

  versions(rule) {
    const rows = rule.before.map((old) => {
      const button = old.text ? h("button", { type: "button", "aria-pressed": "false", onclick: () => {
        const on = button.getAttribute("aria-pressed") !== "true";
        for (const each of this.element.querySelectorAll(".versions button")) each.setAttribute("aria-pressed", "false");
        button.setAttribute("aria-pressed", on);
        this.showText(rule, on ? old : null);
      } }, "Compare") : null;
      return h("tr", null, h("td", { class: "mono" }, old.version), h("td", null, old.mode ? mode(old.mode) : ""), h("td", null, old.by ?? ""), h("td", { class: "mono", title: timeTitle(old.time_ms) }, moment(old.time_ms)), h("td", null, button));
    });
    return h("section", { class: "block versions" }, h("h2", null, "Versions before"), h("table", null, h("thead", null, h("tr", null, ["Version", "Mode", "By", "Time UTC", ""].map((name) => h("th", { scope: "col" }, name || h("span", { class: "quiet" }, "Difference"))))), h("tbody", null, rows)));
  }
}

export class View {
  constructor(root) {
    this.list = new List({ label: "Rules", key: ({ id }) => id, kind: "rule", paint, describe, open: ({ id }) => go({ view: "rules", id, query: here().query }) });
    this.detail = new Detail(() => this.shut());
    this.total = h("span", { class: "dim" });
    this.order = h("select", { "aria-label": "Order", onchange: () => go({ view: "rules", id: this.id, query: { order: this.order.value === "name" ? "" : this.order.value } }, { replace: true }) },
      [["name", "by name"], ["alerts", "by alerts"], ["cost", "by cost"]].map(([value, text]) => h("option", { value }, text)));
    this.side = h("div", { class: "side", hidden: true }, this.detail.element);
    this.blank = h("div");
    this.columns = h("div", { class: "columns rule", "aria-hidden": "true" }, COLUMNS.map(([name, kind]) => h("span", { class: kind ?? "" }, name)));
    this.split = h("div", { class: "split" }, h("div", { class: "main" }, this.columns, this.list.element, this.blank), this.side);
    root.append(h("div", { class: "view" }, h("div", { class: "bar" }, h("h1", null, "Rules"), this.total, h("span", { class: "grow" }), this.order), this.split));
    this.stop = documents.rules.follow(() => this.draw());
    refresh("rules").catch((error) => { this.error = error; this.draw(); });
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
    return empty("No rules run", "The packaged rules run in every worker. Write your own and put it in force without a restart:", h("code", null, "m1cep rules deploy my-rule.sql"));
  }

  keys() {
    return [...this.list.keys("rule"), ["Escape", "Close the detail", () => { if (this.id) this.shut(); }]];
  }

  focus() {
    this.list.element.focus();
  }

  leave() {
    this.stop();
    this.list.close();
  }
}
