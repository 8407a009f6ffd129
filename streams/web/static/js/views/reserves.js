// What is owed against what is there: the latest signed statement, and those before.

import * as badges from "../badges.js";
import { h, put } from "../dom.js";
import { brief, count, decimal, minus, moment, percent, rounded, signed, timeTitle } from "../format.js";
import { documents, refresh } from "../live.js";
import { empty } from "../list.js";

export const title = "Reserves";

const assetsOf = ({ total, reserves }) =>
  [...new Set([...Object.keys(total ?? {}), ...Object.keys(reserves ?? {})])].sort();
const signature = (ok) =>
  ok === null || ok === undefined
    ? badges.chip("not checked")
    : ok
      ? badges.chip("signature valid", "good")
      : badges.chip("signature wrong", "bad");

function cover(share) {
  const fill = h("i");
  fill.style.width = `${Math.min(100, share * 100)}%`;
  return h("span", { class: `cover ${share < 1 ? "under" : ""}`, "aria-hidden": "true" }, fill);
}

const isStated = ({ reserves }) => Object.keys(reserves ?? {}).length > 0;
const right = (text) => h("th", { scope: "col", class: "num" }, text);

function asset(name, { total, reserves }) {
  if (!isStated({ reserves }))
    return h("tr", null, h("th", { scope: "row" }, name), h("td", { class: "num" }, decimal(total?.[name])));
  const [owed, held] = [total?.[name], reserves?.[name]];
  const over = held === undefined ? null : minus(held, owed ?? "0");
  const share = held !== undefined && Number(owed) > 0 ? Number(held) / Number(owed) : null;
  return h(
    "tr",
    null,
    h("th", { scope: "row" }, name),
    h("td", { class: "num" }, decimal(owed)),
    h("td", { class: "num" }, held === undefined ? "not stated" : decimal(held)),
    h(
      "td",
      { class: `num ${over === null ? "" : Number(over) < 0 ? "loss" : "gain"}` },
      over === null ? "–" : signed(over),
    ),
    h(
      "td",
      null,
      share === null
        ? "–"
        : [cover(share), ` ${percent(share)}`, Number(over) < 0 ? h("b", { class: "loss" }, " not covered") : null],
    ),
  );
}

function latest(statement) {
  const { time_ms: ms, name, root, customers, signature_ok: ok, reserves_problem: problem } = statement;
  return h(
    "section",
    { class: "panel" },
    h("header", null, h("h2", null, "Latest statement"), name ? h("span", { class: "dim" }, name) : null),
    h(
      "div",
      { class: "fill stack" },
      h("div", null, h("span", { class: "dim" }, "Root of all balances"), h("span", { class: "root" }, root)),
      h(
        "p",
        { class: "grid-bar" },
        signature(ok),
        h("time", { class: "dim", title: timeTitle(ms) }, `${moment(ms)} UTC`),
        customers === null || customers === undefined ? null : h("span", null, `${count(customers)} customers`),
      ),
      problem ? h("p", { class: "note warn" }, problem) : null,
      problem || isStated(statement)
        ? null
        : h(
            "p",
            { class: "note" },
            "What is owed, signed. No address has signed for it yet, so what is held is not known: ",
            h("code", null, "m1cep custody attest"),
            " and ",
            h("code", null, "m1cep ledger reserves"),
            " add that.",
          ),
      h(
        "div",
        { class: "scroll", tabindex: 0, role: "region", "aria-label": "Totals against reserves" },
        h(
          "table",
          { class: isStated(statement) ? "" : "narrow" },
          h(
            "thead",
            null,
            h(
              "tr",
              null,
              h("th", { scope: "col" }, "Asset"),
              right("Owed to customers"),
              isStated(statement)
                ? [right("Held in reserve"), right("Difference"), h("th", { scope: "col" }, "Covered")]
                : null,
            ),
          ),
          h(
            "tbody",
            null,
            assetsOf(statement).map((one) => asset(one, statement)),
          ),
        ),
      ),
      h(
        "p",
        { class: "dim" },
        "A customer checks that an own balance is in this root with the proof file: ",
        h("code", null, "m1cep ledger verify"),
        ", or the same program without installing anything.",
      ),
    ),
  );
}

function before(statements) {
  const assets = [...new Set(statements.flatMap(assetsOf))].sort();
  const held = assets.filter((one) => statements.some(({ reserves }) => reserves?.[one] !== undefined));
  const glance = (text) => h("td", { class: "num", title: text ? `exactly ${text}` : null }, text ? rounded(text) : "–");
  return h(
    "section",
    { class: "panel" },
    h("header", null, h("h2", null, `Statements (${statements.length})`)),
    h(
      "div",
      { class: "fill scroll", tabindex: 0, role: "region", "aria-label": "Statements" },
      h(
        "table",
        null,
        h(
          "thead",
          null,
          h(
            "tr",
            null,
            ["Time UTC", "Root", "Signature"].map((text) => h("th", { scope: "col" }, text)),
            assets.map((one) => h("th", { scope: "col", class: "num" }, `${one} owed`)),
            held.map((one) => h("th", { scope: "col", class: "num" }, `${one} held`)),
          ),
        ),
        h(
          "tbody",
          null,
          statements.map((each) =>
            h(
              "tr",
              null,
              h("td", { class: "mono", title: timeTitle(each.time_ms) }, moment(each.time_ms)),
              h("td", { class: "mono", title: each.root }, brief(each.root, 16)),
              h("td", null, signature(each.signature_ok)),
              assets.map((one) => glance(each.total?.[one])),
              held.map((one) => glance(each.reserves?.[one])),
            ),
          ),
        ),
      ),
    ),
  );
}

export class View {
  constructor(root) {
    this.page = h("div", { class: "view page" });
    root.append(this.page);
    this.stop = documents.reserves.follow((value) => this.draw(value));
    refresh("reserves").catch((error) =>
      put(this.page, empty("The statements could not be read", `${error.message}. ${error.remedy ?? ""}`)),
    );
  }

  show() {}

  draw({ statements }) {
    const heading = h("h1", { class: "unseen" }, "Reserves");
    if (!statements?.length)
      put(
        this.page,
        heading,
        empty(
          "No statement of reserves yet",
          "A statement sums up what is owed to every customer under one signed root. Make one:",
          h("code", null, "m1cep ledger prove --help"),
        ),
      );
    else put(this.page, heading, latest(statements[0]), before(statements));
  }

  leave() {
    this.stop();
  }
}
