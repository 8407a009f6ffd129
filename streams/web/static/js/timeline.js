// The events that led to an alert: dots on a line of time, a lane for each stream, and the same as a table.

import { h } from "./dom.js";
import { clock, duration, measure, timeTitle } from "./format.js";
import { side } from "./badges.js";

const HIDDEN = new Set(["event_id", "ts", "symbol", "account"]);
const LEADING = ["kind", "action", "side", "price", "qty", "amount", "amount_usd", "asset"];

function fields(row, key) {
  const names = Object.keys(row).filter(
    (name) => !HIDDEN.has(name) && !(name in key) && row[name] !== null && row[name] !== "",
  );
  const order = (name) => (LEADING.includes(name) ? LEADING.indexOf(name) : 99);
  return names
    .sort((a, b) => order(a) - order(b))
    .map((name) => {
      if (name === "side") return [h("span", { class: "pair" }, side(row.side)), " "];
      const [label, value] = measure(name, row[name]);
      const bare = name === "kind" || name === "action";
      return [
        h(
          "span",
          { class: "pair" },
          bare ? null : h("span", { class: "dim" }, `${label} `),
          h("span", { class: bare ? "strong" : "" }, value),
        ),
        " ",
      ];
    });
}

function lane(stream, events, firstUs, spanUs, light) {
  const track = h("span", { class: "track" });
  for (const event of events) {
    const dot = h("i", {
      class: `dot s-${event.row?.side ?? "none"}`,
      title: `${clock(event.time_us / 1000)}  ${stream}`,
    });
    dot.style.left = `${spanUs ? ((event.time_us - firstUs) / spanUs) * 100 : 50}%`;
    dot.addEventListener("pointerenter", () => light(event.event_id, true));
    dot.addEventListener("pointerleave", () => light(event.event_id, false));
    track.append(dot);
  }
  return h("div", { class: "lane" }, h("span", { class: "lane-name cut", title: stream }, stream), track);
}

/** The time line and the table. `missing` are ids that are named by the alert and are not found any more. */
export function timeline(events, missing, key) {
  if (!events.length && !missing.length)
    return h(
      "p",
      { class: "dim" },
      "This alert names no events: it tells of something that did not happen, or of a whole window.",
    );
  const sorted = [...events].sort((a, b) => a.time_us - b.time_us);
  const firstUs = sorted[0]?.time_us ?? 0;
  const spanUs = (sorted.at(-1)?.time_us ?? 0) - firstUs;
  const rows = new Map();
  const light = (id, on) => rows.get(id)?.classList.toggle("lit", on);
  const streams = [...new Set(sorted.map((event) => event.stream))];
  for (const event of sorted) {
    rows.set(
      event.event_id,
      h(
        "tr",
        null,
        h("td", { class: "mono", title: timeTitle(event.time_us / 1000) }, clock(event.time_us / 1000)),
        h(
          "td",
          { class: "num mono dim" },
          event.time_us === firstUs ? "0" : `+${duration((event.time_us - firstUs) / 1000)}`,
        ),
        h("td", null, event.stream),
        h("td", { class: "pairs", title: event.event_id }, fields(event.row ?? {}, key)),
      ),
    );
  }
  return h(
    "div",
    { class: "timeline" },
    sorted.length
      ? h(
          "div",
          { class: "lanes", "aria-hidden": "true" },
          streams.map((stream) =>
            lane(
              stream,
              sorted.filter((event) => event.stream === stream),
              firstUs,
              spanUs,
              light,
            ),
          ),
          h(
            "div",
            { class: "lane axis" },
            h("span", { class: "lane-name" }),
            h(
              "span",
              { class: "ends" },
              h("span", null, clock(firstUs / 1000)),
              h("span", null, spanUs ? `+${duration(spanUs / 1000)}` : ""),
            ),
          ),
        )
      : null,
    sorted.length
      ? h(
          "div",
          { class: "scroll", tabindex: 0, role: "region", "aria-label": "Contributing events" },
          h(
            "table",
            { class: "events" },
            h(
              "thead",
              null,
              h(
                "tr",
                null,
                h("th", { scope: "col" }, "Time UTC"),
                h("th", { scope: "col", class: "num" }, "After"),
                h("th", { scope: "col" }, "Stream"),
                h("th", { scope: "col" }, "Event"),
              ),
            ),
            h("tbody", null, [...rows.values()]),
          ),
        )
      : null,
    missing.length
      ? h(
          "p",
          { class: "note warn" },
          `${missing.length} of ${missing.length + sorted.length} events are no longer kept on their topics: ${missing.slice(0, 4).join(", ")}${missing.length > 4 ? " …" : ""}`,
        )
      : null,
  );
}
