// One grid: price with levels, orders and fills; what it earned by steps, what it would lose if it ended now, and buy-and-hold.

import * as badges from "../badges.js";
import { h, put, say } from "../dom.js";
import { aligned, clock, count, decimal, rounded, timeTitle } from "../format.js";
import { documents, refresh } from "../live.js";
import { empty } from "../list.js";
import { Plot } from "../plots.js";
import { PriceChart } from "../price-chart.js";
import { go } from "../router.js";

export const title = "Grid";

const GOOD = ["live"];
const QUIET = ["idle", "waiting", "placing", "cancelling", "closing"]; // on its way, by itself
// What is drawn last lies on top: where the lines agree, the equity is seen.
const EQUITY = [
  ["buy and hold", "hold", "series-7"],
  ["floating PnL", "floating_pnl", "series-2", [2, 3]],
  ["grid profit", "grid_profit", "series-3", [5, 3]],
  ["equity change", "equity_change", "series-1"],
];
const BOOKS = [
  ["grid_profit", "Grid profit"],
  ["floating_pnl", "Floating PnL"],
  ["equity_change", "Equity change"],
  ["fees", "Fees paid"],
  ["unexplained", "Unexplained"],
];

/** The part of the columns after the clock last went back: a replayed market begins with its own times. */
export function sinceRestart(columns) {
  const [times] = columns;
  let from = 0;
  for (let at = 1; at < times.length; at += 1) if (times[at] < times[at - 1]) from = at;
  return columns.map((column) => column.slice(from));
}

const tone = (text) => (Number(text) > 0 ? "gain" : Number(text) < 0 ? "loss" : "");
/** Orders or fills with their prices and quantities as they stand in a table. */
function rows(all) {
  const [prices, quantities] = ["price", "qty"].map((name) => aligned(all.map((one) => one[name])));
  return all.map((one, at) => ({ ...one, price: prices[at], qty: quantities[at] }));
}
const panel = (heading, ...content) => h("section", { class: "panel" }, h("header", null, heading), content);

function table(names, label) {
  const body = h("tbody");
  const head = h(
    "tr",
    null,
    names.map(([name, right]) => h("th", { scope: "col", class: right ? "num" : "" }, name)),
  );
  return {
    body,
    element: h(
      "div",
      { class: "scroll short", tabindex: 0, role: "region", "aria-label": label },
      h("table", null, h("thead", null, head), body),
    ),
  };
}

export class View {
  constructor(root) {
    this.bar = h("div", { class: "grid-bar" });
    this.books = h("dl", { class: "books" });
    this.price = new PriceChart();
    this.equity = new Plot({
      label: "Grid profit, floating PnL, equity change and buy-and-hold",
      series: EQUITY.map(([name, , ink, dash]) => ({ name, tone: ink, dash, format: rounded })),
      size: "tall",
    });
    this.orders = table([["Side"], ["Price", true], ["Quantity", true]], "Open orders");
    this.fills = table([["Time UTC"], ["Side"], ["Price", true], ["Quantity", true]], "Fills");
    this.currencies = [1, 2].map(() => h("span", { class: "dim" }));
    this.ordersTitle = h("h2", null, "Open orders");
    this.fillsTitle = h("h2", null, "Fills");
    this.body = h(
      "div",
      { class: "grid-cols", hidden: true },
      h(
        "div",
        { class: "stack" },
        panel([h("h2", null, "Price"), this.currencies[0]], this.price.element),
        panel([h("h2", null, "Profit and loss"), this.currencies[1]], this.equity.element),
      ),
      h(
        "div",
        { class: "stack" },
        panel(this.ordersTitle, this.orders.element),
        panel(this.fillsTitle, this.fills.element),
      ),
    );
    this.blank = h("div");
    this.page = h(
      "div",
      { class: "view page" },
      h("h1", { class: "unseen" }, "Grid"),
      this.bar,
      this.books,
      this.body,
      this.blank,
    );
    root.append(this.page);
    this.id = null;
    this.stop = documents.grids.follow(() => this.draw());
    refresh("grids").catch((error) =>
      put(this.blank, empty("The grids could not be read", `${error.message}. ${error.remedy ?? ""}`)),
    );
  }

  show({ id }) {
    this.id = id;
    this.draw();
  }

  draw() {
    const grids = documents.grids.value?.grids ?? null;
    if (grids === null) return;
    const grid = grids.find((each) => each.grid === this.id) ?? grids[0];
    this.body.hidden = !grid;
    this.books.hidden = !grid;
    if (!grid) {
      put(this.bar);
      put(
        this.blank,
        empty(
          "No grid runs",
          "A grid places buy and sell orders at levels around the price, and is made anew when it is touched. Start one:",
          h("code", null, "m1cep grid start --help"),
        ),
      );
      return;
    }
    put(this.blank);
    const currency = grid.symbol.split("-").at(-1);
    this.drawBar(grids, grid);
    put(
      this.books,
      BOOKS.filter(([key]) => grid.books?.[key] !== undefined).map(([key, name]) =>
        this.book(key, name, grid.books[key], currency),
      ),
    );
    for (const each of this.currencies) say(each, currency);
    this.drawTables(grid);
    this.price.show(grid);
    const [times, ...values] = sinceRestart([grid.equity.t_ms, ...EQUITY.map(([, key]) => grid.equity[key] ?? [])]);
    this.equity.set([
      times.map((ms) => ms / 1000),
      ...values.map((column) => column.map((value) => (value === null ? null : Number(value)))),
    ]);
  }

  book(key, name, text, currency) {
    const whole = key === "unexplained" ? tone(text) && "loss" : key === "fees" ? "" : tone(text);
    const shown =
      key === "fees" || key === "unexplained" ? rounded(text) : `${Number(text) > 0 ? "+" : ""}${rounded(text)}`;
    return h(
      "div",
      { class: "kpi", title: `exactly ${text}` },
      h("dt", { class: "name" }, name),
      h("dd", { class: `value ${whole}` }, shown, h("span", { class: "sub" }, currency)),
    );
  }

  drawBar(grids, grid) {
    const mark = JSON.stringify([
      grids.map((each) => each.grid),
      grid.grid,
      grid.state,
      grid.reason,
      grid.generation,
      grid.mark,
      grid.lower,
      grid.upper,
    ]);
    if (mark === this.mark) return;
    this.mark = mark;
    const names =
      grids.length > 1
        ? h(
            "select",
            { "aria-label": "Grid", onchange: (event) => go({ view: "grid", id: event.target.value }) },
            grids.map((each) => h("option", { value: each.grid, selected: each === grid }, each.grid)),
          )
        : h("strong", null, grid.grid);
    put(
      this.bar,
      names,
      h("strong", null, grid.symbol),
      badges.chip(grid.state, GOOD.includes(grid.state) ? "good" : QUIET.includes(grid.state) ? "quiet" : "warn"),
      grid.reason ? h("span", null, grid.reason) : null,
      this.fact("generation", count(grid.generation)),
      grid.mark ? this.fact("price", decimal(grid.mark)) : null,
      grid.lower ? this.fact("range", `${decimal(grid.lower)} – ${decimal(grid.upper)}`) : null,
      grid.venue ? this.fact("venue", grid.venue) : null,
    );
  }

  fact(name, value) {
    return h("span", null, h("span", { class: "dim" }, `${name} `), h("b", null, value));
  }

  drawTables({ orders, fills, fills_total: total }) {
    say(this.ordersTitle, `Open orders (${orders.length})`);
    say(this.fillsTitle, `Fills (${count(total ?? fills.length)})`);
    const sorted = [...orders].sort((a, b) => Number(b.price) - Number(a.price));
    put(
      this.orders.body,
      sorted.length
        ? rows(sorted).map(({ side, price, qty }) =>
            h(
              "tr",
              null,
              h("td", null, badges.side(side)),
              h("td", { class: "num" }, price),
              h("td", { class: "num" }, qty),
            ),
          )
        : h(
            "tr",
            null,
            h("td", { colspan: 3, class: "dim" }, "None: the grid waits, was stopped or is being made anew."),
          ),
    );
    const latest = [...fills].sort((a, b) => b.time_ms - a.time_ms).slice(0, 200);
    put(
      this.fills.body,
      latest.length
        ? rows(latest).map(({ time_ms: ms, side, price, qty }) =>
            h(
              "tr",
              null,
              h("td", { class: "mono", title: timeTitle(ms) }, clock(ms, true)),
              h("td", null, badges.side(side)),
              h("td", { class: "num" }, price),
              h("td", { class: "num" }, qty),
            ),
          )
        : h("tr", null, h("td", { colspan: 4, class: "dim" }, "None yet: no level was touched.")),
    );
  }

  leave() {
    this.stop();
    this.price.close();
    this.equity.close();
  }
}
