// How everything goes: figures of now, the last quarter of an hour, alerts by rule in the last hour, the workers.

import * as badges from "../badges.js";
import { h, put, say } from "../dom.js";
import { ago, clock, count, duration, moment, number, short } from "../format.js";
import { documents, refresh } from "../live.js";
import { empty } from "../list.js";
import { Plot } from "../plots.js";

export const title = "Overview";

const KPIS = [
  ["events_per_s", "Events per second", short, () => false],
  ["alerts_per_min", "Alerts per minute", number, () => false],
  ["latency_p50_ms", "Latency, median", duration, () => false],
  ["latency_p99_ms", "Latency, p99", duration, (value) => value > 1000],
  ["watermark_lag_ms", "Watermark lag", duration, (value) => value > 10_000],
  ["consumer_lag", "Consumer lag", short, (value) => value > 100_000, "records"],
  ["dead_letters", "Dead letters", count, (value) => value > 0],
  ["late", "Late events", count, () => false],
];
const MOST_RULES = 6;
const TONES = Array.from({ length: MOST_RULES + 1 }, (_, at) => `series-${at + 1}`);
const OTHERS = TONES.at(-1);
const HISTORY = "last 15 min";

const PLOTS = [
  [
    "Throughput",
    "events_per_s",
    [{ name: "events per second", column: "events_per_s", tone: "series-1", format: short, fill: true }],
  ],
  [
    "Alert latency",
    "latency",
    [
      { name: "median", column: "latency_p50_ms", tone: "series-1", format: duration },
      { name: "99th percentile", column: "latency_p99_ms", tone: "series-2", format: duration },
    ],
  ],
  [
    "Watermark lag",
    "watermark",
    [{ name: "behind the clock", column: "watermark_lag_ms", tone: "series-1", format: duration, fill: true }],
  ],
  [
    "Consumer lag",
    "consumer",
    [{ name: "records not read yet", column: "consumer_lag", tone: "series-1", format: short, fill: true }],
  ],
];

// Of events that are not of now, such as a replay's, the clock can say nothing: then what is read and not judged yet is shown.
const REPLAYED = [
  { name: "behind the newest event", column: "watermark_behind_ms", tone: "series-2", format: duration, fill: true },
];
const LAG = PLOTS.findIndex(([, key]) => key === "watermark");

/** The busiest rules and the sum of the others, as columns of a stacked chart; `tones` remembers which colour each has. */
function busiest({ t_s: times, rules }, tones) {
  const sums = Object.entries(rules)
    .map(([id, counts]) => [id, counts, counts.reduce((a, b) => a + b, 0)])
    .sort((a, b) => b[2] - a[2] || a[0].localeCompare(b[0]));
  const shown = sums.length === MOST_RULES + 1 ? sums.length : MOST_RULES;
  const top = sums.slice(0, shown);
  const rest = sums.slice(shown);
  for (const id of tones.keys()) if (!top.some(([one]) => one === id)) tones.delete(id);
  for (const [id] of top) {
    if (rest.length && tones.get(id) === OTHERS) tones.delete(id);
    if (!tones.has(id)) tones.set(id, TONES.find((tone) => ![...tones.values()].includes(tone)));
  }
  const series = top.map(([id]) => ({ name: id, tone: tones.get(id), format: count }));
  const columns = top.map(([, counts]) => counts);
  if (rest.length) {
    series.push({ name: `${rest.length} others`, tone: OTHERS, format: count });
    columns.push(times.map((_, at) => rest.reduce((sum, [, counts]) => sum + (counts[at] ?? 0), 0)));
  }
  return { series, columns: [times, ...columns] };
}

export class View {
  constructor(root) {
    this.kpis = new Map(
      KPIS.map(([key, label, , , unit]) => [
        key,
        h(
          "div",
          { class: "kpi" },
          h("dt", { class: "name" }, label),
          h("dd", { class: "value" }, h("span", null, "–"), unit ? h("span", { class: "sub" }, unit) : null),
        ),
      ]),
    );
    this.tones = new Map();
    this.rules = new Plot({
      label: "Alerts by rule, in steps of ten seconds",
      series: [],
      bars: true,
      step: 10,
      least: 180,
      span: "in the last hour",
    });
    this.plots = PLOTS.map(([name, , series]) => new Plot({ label: name, series, sync: "overview" }));
    this.notes = PLOTS.map(() => h("span", { class: "dim" }, HISTORY));
    this.workers = h("tbody");
    this.nobody = h("div", { class: "fill", hidden: true });
    const panel = (name, note, ...content) =>
      h(
        "section",
        { class: "panel" },
        h("header", null, h("h2", null, name), note instanceof Node ? note : h("span", { class: "dim" }, note)),
        content,
      );
    root.append(
      h(
        "div",
        { class: "view page" },
        h("h1", { class: "unseen" }, "Overview"),
        h("dl", { class: "kpis" }, [...this.kpis.values()]),
        panel("Alerts by rule", "each ten seconds", this.rules.element),
        h(
          "div",
          { class: "charts" },
          PLOTS.map(([name], at) => panel(name, this.notes[at], this.plots[at].element)),
        ),
        panel(
          "Workers",
          "",
          h(
            "div",
            { class: "scroll fill", tabindex: 0, role: "region", "aria-label": "Workers" },
            h(
              "table",
              null,
              h(
                "thead",
                null,
                h(
                  "tr",
                  null,
                  ["Worker", "State", "Agents"].map((name) => h("th", { scope: "col" }, name)),
                  ["Events/s", "Lag, records", "Heard"].map((name) => h("th", { scope: "col", class: "num" }, name)),
                ),
              ),
              this.workers,
            ),
          ),
          this.nobody,
        ),
      ),
    );
    this.stop = documents.overview.follow((value) => this.draw(value));
    refresh("overview").catch(() => {});
  }

  show() {}

  draw({ now, history, alerts_by_rule: byRule, workers, time_ms: timeMs }) {
    for (const [key, , format, isBad] of KPIS) {
      const box = this.kpis.get(key);
      say(box.lastChild.firstChild, format(now?.[key]));
      box.classList.toggle("warn", Boolean(now && isBad(now[key])));
    }
    this.drawEventTime(now);
    if (byRule?.t_s.length) {
      const { series, columns } = busiest(byRule, this.tones);
      this.rules.become(series);
      if (series.length) this.rules.set(columns);
    }
    if (history?.t_s.length)
      this.plots.forEach((plot, at) => plot.set([history.t_s, ...plot.series.map(({ column }) => history[column])]));
    this.drawWorkers(workers ?? [], timeMs);
  }

  /** How far event time is behind the clock; of events that are not of now, which time they are of. */
  drawEventTime(now) {
    const replayed = Boolean(now?.event_time_ms) && now.watermark_lag_ms === null;
    this.plots[LAG].become(replayed ? REPLAYED : PLOTS[LAG][2]);
    const box = this.kpis.get("watermark_lag_ms");
    say(box.firstChild, replayed ? "Event time, UTC" : "Watermark lag");
    if (replayed) say(box.lastChild.firstChild, clock(now.event_time_ms, true));
    box.title = replayed
      ? `The newest event is of ${moment(now.event_time_ms)} UTC: how far that is behind the clock would mean nothing`
      : "How far the event time that rules have come to is behind the clock";
    say(this.notes[LAG], replayed ? "events are not of now" : HISTORY);
  }

  drawWorkers(workers, timeMs) {
    this.nobody.hidden = workers.length > 0;
    this.workers.closest(".scroll").hidden = !workers.length;
    if (!workers.length) {
      put(
        this.nobody,
        empty(
          "No worker says anything",
          "A worker tells of itself once a second. Start one:",
          h("code", null, "m1cep worker --agents risk"),
        ),
      );
      return;
    }
    put(
      this.workers,
      workers.map(({ worker, agents, ready, events_per_s: rate, lag, age_ms: ageMs, problem }) =>
        h(
          "tr",
          null,
          h("td", { class: "mono" }, worker),
          h(
            "td",
            null,
            ageMs > 5000
              ? badges.chip("silent", "bad")
              : ready
                ? badges.chip("ready", "good")
                : badges.chip("not ready", "warn"),
            problem ? ` ${problem}` : null,
          ),
          h("td", null, agents.join(", ")),
          h("td", { class: "num" }, short(rate)),
          h("td", { class: "num" }, count(lag)),
          h("td", { class: "num dim" }, ago(timeMs - ageMs, timeMs)),
        ),
      ),
    );
  }

  leave() {
    this.stop();
    [this.rules, ...this.plots].forEach((plot) => plot.close());
  }
}
