// A grid's price with its levels, open orders and fills: TradingView's lightweight-charts in our colours.

import { h } from "./dom.js";
import { decimal, fixed } from "./format.js";
import { colour, onTheme } from "./theme.js";

let library = null;
const load = () =>
  (library ??= import("/static/vendor/lightweight-charts/lightweight-charts.standalone.production.mjs"));

/** Points as the library wants them: whole seconds, each once, ascending. */
function points(timesMs, values) {
  const bySecond = new Map();
  timesMs.forEach((ms, at) => bySecond.set(Math.floor(ms / 1000), Number(values[at])));
  return [...bySecond].sort(([a], [b]) => a - b).map(([time, value]) => ({ time, value }));
}

export class PriceChart {
  constructor() {
    this.place = h("div", {
      class: "chart price",
      role: "img",
      "aria-label": "Price with levels, open orders and fills",
    });
    this.credit = h(
      "p",
      { class: "attribution" },
      "TradingView Lightweight Charts™ · Copyright © 2026 TradingView, Inc. · ",
      h("a", { href: "https://www.tradingview.com/", rel: "noreferrer", target: "_blank" }, "tradingview.com"),
    );
    this.element = h("figure", null, this.place, this.credit);
    this.lines = [];
    this.stop = onTheme(() => this.dress());
  }

  async show(grid) {
    const { createChart, LineSeries, createSeriesMarkers } = await load();
    if (this.closed) return;
    if (!this.chart) {
      // The library's own logo link brings an inline style, which our content policy forbids: the link stands below the chart.
      this.chart = createChart(this.place, {
        autoSize: true,
        layout: { attributionLogo: false },
        handleScroll: { vertTouchDrag: false },
        localization: { priceFormatter: (price) => fixed(price, this.precision ?? 2) },
        timeScale: { timeVisible: true, secondsVisible: true, rightOffset: 4 },
      });
      this.series = this.chart.addSeries(LineSeries, {
        lineWidth: 2,
        priceLineVisible: false,
        autoscaleInfoProvider: (own) => this.span(own()),
      });
      this.markers = createSeriesMarkers(this.series, []);
    }
    const fresh = this.name !== grid.grid;
    Object.assign(this, { name: grid.grid, grid });
    this.series.setData(points(grid.price.t_ms, grid.price.p));
    this.dress();
    if (fresh) this.chart.timeScale().fitContent();
    const last = grid.price.p.at(-1);
    this.place.setAttribute(
      "aria-label",
      `Price of ${grid.symbol}${last === undefined ? "" : `, last ${decimal(String(last))}`}; ${grid.levels.length} levels${grid.lower ? ` from ${decimal(grid.lower)} to ${decimal(grid.upper)}` : ""}; ${grid.orders.length} open orders`,
    );
  }

  span(info) {
    const all = [info?.priceRange?.minValue, info?.priceRange?.maxValue, ...this.grid.levels.map(Number)].filter(
      (value) => Number.isFinite(value),
    );
    if (!all.length) return info;
    return { priceRange: { minValue: Math.min(...all), maxValue: Math.max(...all) }, margins: { above: 8, below: 8 } };
  }

  dress() {
    if (!this.chart || !this.grid) return;
    const line = { color: colour("line") };
    this.chart.applyOptions({
      layout: {
        background: { color: "transparent" },
        textColor: colour("dim"),
        fontFamily: "system-ui, sans-serif",
        fontSize: 11,
      },
      grid: { vertLines: line, horzLines: { visible: false } },
      rightPriceScale: { borderColor: colour("line") },
      timeScale: { borderColor: colour("line") },
      crosshair: {
        vertLine: { color: colour("dim"), labelBackgroundColor: colour("line-strong") },
        horzLine: { color: colour("dim"), labelBackgroundColor: colour("line-strong") },
      },
    });
    const precision = Math.max(
      0,
      ...[this.grid.mark, ...this.grid.levels].map((level) => (String(level ?? "").split(".")[1] ?? "").length),
    );
    this.precision = precision;
    this.series.applyOptions({
      color: colour("accent"),
      priceFormat: { type: "price", precision, minMove: 10 ** -precision },
    });
    for (const each of this.lines) this.series.removePriceLine(each);
    const taken = new Set(this.grid.orders.map(({ price }) => Number(price)));
    const levels = this.grid.levels
      .filter((level) => !taken.has(Number(level)))
      .map((level) => ({ price: Number(level), color: colour("line-strong"), lineStyle: 3, axisLabelVisible: false }));
    const orders = this.grid.orders.map(({ side, price, qty }) => ({
      price: Number(price),
      color: colour(side),
      lineStyle: 2,
      axisLabelVisible: true,
      axisLabelTextColor: colour("bg"),
      title: this.place.clientWidth > 560 ? `${side} ${decimal(qty)}` : "",
    }));
    this.lines = [...levels, ...orders].map((each) => this.series.createPriceLine({ lineWidth: 1, ...each }));
    const first = this.grid.price.t_ms[0] ?? 0;
    this.markers.setMarkers(
      this.grid.fills
        .filter(({ time_ms: ms }) => ms >= first)
        .sort((a, b) => a.time_ms - b.time_ms)
        .map(({ time_ms: ms, side }) => ({
          time: Math.floor(ms / 1000),
          position: side === "buy" ? "belowBar" : "aboveBar",
          color: colour(side),
          shape: side === "buy" ? "arrowUp" : "arrowDown",
          size: 1,
        })),
    );
  }

  close() {
    this.closed = true;
    this.stop();
    this.chart?.remove();
  }
}
