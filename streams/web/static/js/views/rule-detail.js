// One rule: what it finds, how it goes, its SQL, and what changed since the versions before.

import * as badges from "../badges.js";
import { h, put } from "../dom.js";
import { count, moment, number, short, timeTitle } from "../format.js";
import { address } from "../router.js";
import { block, difference, withoutFront } from "../sql.js";

const MODES = {
  active: ["active", "good"],
  shadow: ["shadow", "quiet"],
  quarantined: ["quarantined", "bad"],
  disabled: ["disabled", "warn"],
  proposed: ["proposed", "warn"],
};

/** A rule's mode as a chip. */
export const mode = (name) => badges.chip(...(MODES[name] ?? [name, "quiet"]));
/** The cost of an event, measured by the workers. */
export const cost = (us) => (us === null || us === undefined ? "–" : `${us < 100 ? us.toFixed(2) : count(us)} µs`);
/** Matches in a million events. */
export const perMillion = ({ matches, events }) => {
  const rate = events ? (matches / events) * 1e6 : null;
  return rate !== null && rate < 1000 ? number(rate, 3) : short(rate);
};

/** A counter of the workers; none where no worker has told of the rule. */
export const counted = (rule, name) => (rule.events === null || rule.events === undefined ? "–" : count(rule[name]));

const fact = (name, value) => h("div", null, h("dt", null, name), h("dd", null, value));

export class RuleDetail {
  constructor(close) {
    this.text = h("div");
    this.close = close;
    this.element = h("article", { class: "detail", "aria-label": "Rule" });
  }

  show(rule) {
    const mark = JSON.stringify([rule.id, rule.version, rule.mode, rule.reason, rule.before, rule.running]);
    if (mark !== this.mark) this.build(rule);
    this.mark = mark;
    put(
      this.figures,
      fact("events", short(rule.events)),
      fact("matches", counted(rule, "matches")),
      fact("alerts", counted(rule, "alerts")),
      fact("alerts, last hour", count(rule.alerts_per_h)),
      fact("matches in a million events", perMillion(rule)),
      fact("cost of an event", cost(rule.cost_us_per_event)),
      fact("open attempts", counted(rule, "open")),
    );
  }

  build(rule) {
    const {
      id,
      version,
      severity,
      summary,
      source,
      origin,
      by,
      note,
      approved_by: approver,
      time_ms: ms,
      sql,
      params,
      reason,
      before,
      action,
    } = rule;
    this.figures = h("dl", { class: "pairs-list" });
    const given = Object.entries(params ?? {});
    const where =
      { packaged: "came with this version", file: "from a file of the worker", topic: "deployed" }[origin] ?? origin;
    put(
      this.element,
      h(
        "div",
        { class: "detail-content" },
        h(
          "header",
          { class: "detail-head" },
          badges.severity(severity ?? "info"),
          h("h1", { class: "grow cut" }, id),
          mode(rule.mode),
          h(
            "button",
            { type: "button", class: "ghost back", title: "Back to the list (Esc)", onclick: this.close },
            "×",
            h("span", { class: "unseen" }, "Close the detail"),
          ),
        ),
        h("p", { class: "summary" }, summary),
        reason
          ? h(
              "p",
              { class: "note warn" },
              h("b", null, rule.mode === "quarantined" ? "In quarantine: " : "Problem: "),
              reason,
            )
          : null,
        h(
          "p",
          { class: "grid-bar" },
          h("span", null, h("span", { class: "dim" }, "version "), h("b", { class: "mono" }, version)),
          h(
            "span",
            { class: "dim" },
            where,
            by ? ` by ${by}` : null,
            approver ? `, approved by ${approver}` : null,
            ms ? h("time", { title: timeTitle(ms) }, `, ${moment(ms)} UTC`) : null,
          ),
          action && action !== "alert"
            ? badges.chip(action.replaceAll("_", " "), "warn", "What happens besides the alert")
            : null,
          h("a", { href: address({ view: "alerts", query: { rule: id } }) }, "its alerts"),
        ),
        rule.mode === "shadow"
          ? h(
              "p",
              { class: "note" },
              "It is tried out: nobody gets what it finds now. See it with ",
              h("code", null, "m1cep topics tail m1cep.shadow-alerts.v1 --from-beginning"),
            )
          : null,
        note ? h("p", null, h("q", null, note)) : null,
        this.figures,
        given.length
          ? h(
              "section",
              { class: "block" },
              h("h2", null, "Parameters"),
              h(
                "dl",
                { class: "pairs-list" },
                given.map(([name, value]) => fact(name, String(value))),
              ),
            )
          : null,
        h(
          "section",
          { class: "block" },
          h("h2", null, "SQL"),
          this.text,
          source ? h("p", { class: "dim source" }, source) : null,
        ),
        before?.length ? this.versions(rule) : null,
      ),
    );
    this.showText(rule, null);
  }

  showText({ sql, version }, old) {
    if (!sql) put(this.text, h("p", { class: "dim" }, "No worker here knows the text of this rule."));
    else if (old)
      put(
        this.text,
        h("p", { class: "grid-bar" }, h("span", null, `From ${old.version} (−) to ${version} (+)`)),
        difference(old.text, sql, `What changed from ${old.version} to ${version}`),
      );
    else put(this.text, block(withoutFront(sql), "SQL of the rule"));
  }

  versions(rule) {
    const rows = rule.before.map((old) => {
      const button = old.text
        ? h(
            "button",
            {
              type: "button",
              "aria-pressed": "false",
              onclick: () => {
                const on = button.getAttribute("aria-pressed") !== "true";
                for (const each of this.element.querySelectorAll(".versions button"))
                  each.setAttribute("aria-pressed", "false");
                button.setAttribute("aria-pressed", on);
                this.showText(rule, on ? old : null);
              },
            },
            "Compare",
          )
        : null;
      return h(
        "tr",
        null,
        h("td", { class: "mono" }, old.version),
        h("td", null, old.mode ? mode(old.mode) : ""),
        h("td", null, old.by ?? ""),
        h("td", { class: "mono", title: timeTitle(old.time_ms) }, moment(old.time_ms)),
        h("td", null, button),
      );
    });
    return h(
      "section",
      { class: "block versions" },
      h("h2", null, "Versions before"),
      h(
        "table",
        null,
        h(
          "thead",
          null,
          h(
            "tr",
            null,
            ["Version", "Mode", "By", "Time UTC", ""].map((name) =>
              h("th", { scope: "col" }, name || h("span", { class: "unseen" }, "Difference")),
            ),
          ),
        ),
        h("tbody", null, rows),
      ),
    );
  }
}
