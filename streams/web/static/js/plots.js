// Charts over time: uPlot in our colours, times in UTC, a legend that says the values under the pointer, else the latest ones
// (of bars the sums).

import { h, put, say } from "./dom.js";
import { clock } from "./format.js";
import { colour, onTheme } from "./theme.js";

let ready = null;
const load = () =>
  (ready ??= new Promise((done, failed) => {
    document.head.append(
      h("script", {
        src: "/static/vendor/uplot/uPlot.iife.min.js",
        onload: () => done(globalThis.uPlot),
        onerror: () => failed(new Error("uPlot could not be loaded")),
      }),
    );
  }));

/** Steps of a scale that counts: there is no half alert. */
const WHOLE = Array.from({ length: 10 }, (_, power) => [1, 2, 5].map((digit) => digit * 10 ** power)).flat();

const utc = (seconds) => new Date(seconds * 1000 + new Date(seconds * 1000).getTimezoneOffset() * 60_000);
const hours = (_, ticks, _axis, _space, step) =>
  ticks.map((tick) => clock(tick * 1000, true).slice(0, step >= 60 ? 5 : 8));

/** Sums of the series one upon the other: what a stacked chart draws. */
function stacked(columns) {
  const [times, ...series] = columns;
  const sums = new Array(times.length).fill(0);
  return [times, ...series.map((values) => values.map((value, at) => (sums[at] += value ?? 0)))];
}

export class Plot {
  /**
   * @param {object} options
   * @param {string} options.label what is drawn, for a screen reader
   * @param {{name: string, tone: string, format: Function}[]} options.series tone: a colour's name in tokens.css
   * @param {boolean} [options.bars] stacked bars of counts instead of lines
   * @param {string} [options.span] time of which bars' sums are, said beside them
   * @param {boolean} [options.zero] the scale begins at nought
   * @param {number} [options.step] seconds from one bar to the next
   * @param {number} [options.least] seconds that are shown at least
   * @param {string} [options.sync] charts of one name show the same moment under the pointer
   */
  constructor(options) {
    Object.assign(this, { zero: true, bars: false, ...options, columns: null, chart: null });
    this.place = h("div", { class: `chart ${options.size ?? ""}`, role: "img", "aria-label": this.label });
    this.legend = h("div", { class: "legend" });
    this.nothing = h("p", { class: "nothing" }, "No figures yet");
    this.place.append(this.nothing);
    this.element = h("figure", { class: "plot" }, this.place, this.legend);
    this.watcher = new ResizeObserver(() => this.resize());
    this.watcher.observe(this.place);
    this.stop = onTheme(() => this.rebuild());
    this.drawLegend(null);
  }

  /** Other series than before; the next `set` brings their values. */
  become(series) {
    if (series.map(({ name }) => name).join() === this.series.map(({ name }) => name).join()) return;
    this.series = series;
    this.chart?.destroy();
    this.chart = null;
    this.columns = null;
  }

  /** Columns as uPlot takes them: [seconds, values of the first series, ...]. */
  set(columns) {
    this.columns = columns;
    this.nothing.hidden = columns
      .slice(1)
      .some((values) => values.some((value) => value !== null && value !== undefined));
    if (this.chart) this.chart.setData(this.drawn());
    else this.build();
    this.drawLegend(null);
  }

  drawn() {
    if (!this.bars) return this.columns;
    const [times, ...sums] = stacked(this.columns);
    return [times, ...sums.reverse()]; // the tallest is drawn first, the others before it
  }

  async build() {
    const Chart = await load();
    if (this.chart || !this.columns || this.closed || !this.place.clientWidth) return;
    const axis = {
      stroke: colour("dim"),
      grid: { stroke: colour("line"), width: 1 },
      ticks: { show: false },
      font: "11px system-ui, sans-serif",
    };
    const first = this.series[0].format;
    const tones = this.bars ? [...this.series].reverse() : this.series;
    this.chart = new Chart(
      {
        ...this.extent(),
        tzDate: utc,
        legend: { show: false },
        padding: [8, 24, 0, 0], // room for half of the last time
        cursor: {
          y: false,
          points: { show: !this.bars },
          drag: { x: true, y: false },
          sync: this.sync ? { key: this.sync } : undefined,
        },
        scales: {
          x: { time: true, range: (_, low, high) => this.times(low, high) },
          y: { range: (_, low, high) => this.range(low, high) },
        },
        axes: [
          { ...axis, size: 28, space: 76, values: hours },
          {
            ...axis,
            size: 58,
            space: 32,
            ...(this.bars ? { incrs: WHOLE } : {}),
            values: (_, ticks) => ticks.map((tick) => (this.nothing.hidden ? first(tick) : "")),
          },
        ],
        series: [{}, ...tones.map((series) => this.stroke(Chart, series))],
        hooks: { setCursor: [(chart) => this.drawLegend(chart.cursor.idx)] },
      },
      this.drawn(),
      this.place,
    );
  }

  stroke(Chart, { tone, dash, fill }) {
    const ink = colour(tone);
    if (this.bars)
      return {
        stroke: ink,
        fill: ink,
        width: 0,
        points: { show: false },
        paths: Chart.paths.bars({ size: [0.9, 24], gap: 1 }),
      };
    return {
      stroke: ink,
      width: 1.5,
      dash,
      fill: fill ? `${ink}22` : undefined,
      points: { show: this.columns[0].length < 3 },
      spanGaps: true,
    };
  }

  /** The time that is shown: at least `least` seconds, with room for a bar at each end. */
  times(low, high) {
    if (low === null || high === null) return [0, 1];
    const room = this.step ? this.step * 0.6 : 0;
    return [Math.min(low - room, high - (this.least ?? 0)), high + room];
  }

  range(low, high) {
    if (low === null || high === null) return [0, 1];
    const [from, to] = this.zero ? [Math.min(0, low), Math.max(0, high)] : [low, high];
    const room = (to - from || Math.abs(to) || 1) * 0.08;
    return [from === 0 ? 0 : from - room, to === 0 ? 0 : to + room];
  }

  extent() {
    return { width: this.place.clientWidth - 8, height: this.place.clientHeight - 4 };
  }

  resize() {
    if (this.chart) this.chart.setSize(this.extent());
    else if (this.columns) this.build();
  }

  rebuild() {
    this.chart?.destroy();
    this.chart = null;
    if (this.columns) this.build();
    this.drawLegend(null);
  }

  drawLegend(index) {
    const times = this.columns?.[0] ?? [];
    const pointed = index !== null && index !== undefined && times.length > 0;
    const at = pointed ? index : times.length - 1;
    const value = (column) =>
      this.bars && !pointed ? column.reduce((sum, one) => sum + (one ?? 0), 0) : column[at];
    const names = this.series.map(({ name }) => name).join();
    if (this.legendNames !== names || this.legendTheme !== document.documentElement.dataset.theme) {
      this.legendNames = names;
      this.legendTheme = document.documentElement.dataset.theme;
      this.values = this.series.map(() => h("b"));
      this.time = h("span", { class: "at" });
      put(
        this.legend,
        this.series.map(({ name, tone }, n) => {
          const mark = h("i");
          mark.style.background = colour(tone);
          return h("span", null, mark, name, " ", this.values[n]);
        }),
        this.time,
      );
    }
    this.series.forEach(({ format }, n) => say(this.values[n], times.length ? format(value(this.columns[n + 1])) : "–"));
    say(this.time, pointed ? `${clock(times[at] * 1000, true)} UTC` : (this.span ?? ""));
  }

  close() {
    this.closed = true;
    this.watcher.disconnect();
    this.stop();
    this.chart?.destroy();
  }
}
