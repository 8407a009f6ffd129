// The filters of the alerts: severities as switches, rule, account, state, text. What they say stands in the address.

import { SEVERITIES, severity } from "../badges.js";
import { h, put } from "../dom.js";
import { documents } from "../live.js";

const STATES = [
  ["", "any state"],
  ["open", "open"],
  ["acknowledged", "acknowledged"],
  ["closed", "closed"],
];
const TYPING_MS = 250;

export class Filters {
  /** @param {(filter: object) => void} changed hears the whole filter, empty parts left out */
  constructor(changed) {
    this.changed = changed;
    this.severities = new Map(
      SEVERITIES.map((name) => [
        name,
        h(
          "button",
          { type: "button", class: "switch", "aria-pressed": "false", onclick: () => this.flip(name) },
          severity(name),
        ),
      ]),
    );
    this.rule = h("select", { "aria-label": "Rule", onchange: () => this.send() });
    this.state = h(
      "select",
      { "aria-label": "State", onchange: () => this.send() },
      STATES.map(([value, text]) => h("option", { value }, text)),
    );
    this.account = h("input", {
      type: "search",
      class: "account",
      placeholder: "account",
      "aria-label": "Account, exactly",
      autocomplete: "off",
      spellcheck: "false",
      oninput: () => this.soon(),
    });
    this.q = h("input", {
      type: "search",
      class: "text",
      placeholder: "search  /",
      "aria-label": "Search in rule, key, measures and id",
      autocomplete: "off",
      spellcheck: "false",
      oninput: () => this.soon(),
    });
    this.clear = h("button", { type: "button", class: "ghost", onclick: () => this.reset() }, "Clear");
    this.more = h(
      "button",
      {
        type: "button",
        class: "more",
        "aria-expanded": "false",
        onclick: () => this.expand(!this.element.classList.contains("all")),
      },
      "More",
    );
    this.element = h(
      "div",
      { class: "filters", role: "search", "aria-label": "Filter the alerts" },
      h("div", { class: "switches", role: "group", "aria-label": "Severity" }, [...this.severities.values()]),
      this.q,
      this.more,
      this.account,
      this.rule,
      this.state,
      this.clear,
    );
    for (const field of [this.q, this.account]) field.addEventListener("keydown", (event) => this.enter(event));
    this.names = [];
    this.offer([]);
    this.rare(false);
    this.stop = documents.rules.follow(({ rules }) => {
      this.offer(rules.map(({ id }) => id));
      this.rare(rules.some(({ severity: one }) => one === "info"));
    });
  }

  /** The rules that can be chosen. */
  offer(ids) {
    const chosen = this.wanted ?? this.rule.value;
    const names = [...new Set([...ids, ...(chosen ? [chosen] : [])])].sort();
    if (names.join() === this.names.join() && this.rule.options.length) return;
    this.names = names;
    put(
      this.rule,
      h("option", { value: "" }, "any rule"),
      names.map((id) => h("option", { value: id }, id)),
    );
    this.rule.value = chosen ?? "";
  }

  /** Alerts that only inform are rare: their switch is there where a rule has them, or a link asks for them. */
  rare(on) {
    const button = this.severities.get("info");
    button.hidden = !on && button.getAttribute("aria-pressed") !== "true";
  }

  /** Show a filter without telling of it. */
  show({ severity: severities = "", rule = "", account = "", state = "", q = "" }) {
    const on = severities.split(",");
    for (const [name, button] of this.severities) button.setAttribute("aria-pressed", on.includes(name));
    this.rare(!this.severities.get("info").hidden);
    this.wanted = rule;
    this.offer(this.names);
    this.rule.value = rule;
    this.state.value = state;
    if (document.activeElement !== this.account) this.account.value = account;
    if (document.activeElement !== this.q) this.q.value = q;
    if (rule || account || state) this.expand(true);
    this.clear.hidden = ![severities, rule, account, state, q].some(Boolean);
  }

  /** On a narrow screen account, rule and state are shown on request, and when they are in use. */
  expand(on) {
    this.element.classList.toggle("all", on);
    this.more.setAttribute("aria-expanded", on);
  }

  flip(name) {
    const button = this.severities.get(name);
    button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
    this.send();
  }

  /** Enter in a field: on to the list. */
  enter(event) {
    if (event.key !== "Enter") return;
    event.preventDefault();
    this.send();
    document.querySelector(".list")?.focus();
  }

  soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.send(), TYPING_MS);
  }

  send() {
    clearTimeout(this.timer);
    this.wanted = this.rule.value;
    const severities = [...this.severities]
      .filter(([, button]) => button.getAttribute("aria-pressed") === "true")
      .map(([name]) => name);
    const filter = {
      severity: severities.join(","),
      rule: this.rule.value,
      account: this.account.value.trim(),
      state: this.state.value,
      q: this.q.value.trim(),
    };
    this.changed(Object.fromEntries(Object.entries(filter).filter(([, value]) => value)));
  }

  reset() {
    this.account.value = "";
    this.q.value = "";
    this.changed({});
  }

  close() {
    this.stop();
    clearTimeout(this.timer);
  }
}
