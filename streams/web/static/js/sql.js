// SQL with a light hand of colour: keywords, text, numbers, parameters, comments. And two versions of it side by side.

import { h } from "./dom.js";

const KEYWORDS = new Set(
  (
    "SELECT FROM WHERE AND OR NOT NULL IS IN AS ON JOIN LEFT INNER UNION ALL WITH GROUP BY ORDER PARTITION HAVING LIMIT DISTINCT CASE WHEN THEN ELSE END " +
    "BETWEEN LIKE EXISTS OVER ROWS RANGE PRECEDING FOLLOWING CURRENT ROW UNBOUNDED INTERVAL SECOND SECONDS MINUTE MINUTES HOUR HOURS DAY DAYS MILLISECOND MATCH_RECOGNIZE MEASURES PATTERN DEFINE " +
    "WITHIN AFTER MATCH SKIP PAST LAST TO NEXT FIRST ONE PER CAST TABLE TUMBLE HOP SESSION DESCRIPTOR TRUE FALSE COUNT SUM AVG MIN MAX PREV"
  ).split(" "),
);
const TOKEN =
  /(\/\*[\s\S]*?\*\/|--[^\n]*)|('(?:[^']|'')*'?)|(:[A-Za-z_][\w.]*)|(\b\d+(?:\.\d+)?\b)|([A-Za-z_]\w*)|(\s+|[^\sA-Za-z_\d':]+|.)/g;
const KINDS = ["comment", "string", "parameter", "number"];

/** The text as nodes: strings and spans. */
function highlighted(text) {
  return Array.from(text.matchAll(TOKEN), (match) => {
    const kind =
      KINDS.find((_, at) => match[at + 1] !== undefined) ??
      (match[5] && KEYWORDS.has(match[5].toUpperCase()) ? "keyword" : null);
    return kind ? h("span", { class: `sql-${kind}` }, match[0]) : match[0];
  });
}

/** A block of SQL that can be scrolled by keyboard. */
export const block = (text, label) =>
  h("pre", { class: "sql", tabindex: 0, role: "region", "aria-label": label }, highlighted(text));

/** Lines of two texts: [["same" | "removed" | "added", line], ...]; by the longest common subsequence. */
export function lineDiff(before, after) {
  const a = before.split("\n");
  const b = after.split("\n");
  const longest = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1)
      longest[i][j] = a[i] === b[j] ? longest[i + 1][j + 1] + 1 : Math.max(longest[i + 1][j], longest[i][j + 1]);
  }
  const lines = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push(["same", a[i]]);
      i += 1;
      j += 1;
    } else if (j >= b.length || (i < a.length && longest[i + 1][j] >= longest[i][j + 1]))
      lines.push(["removed", a[i++]]);
    else lines.push(["added", b[j++]]);
  }
  return lines;
}

const SIGNS = { same: " ", removed: "−", added: "+" };

/** What changed between two versions, each line with its sign. */
export function difference(before, after, label) {
  const lines = lineDiff(before, after).map(([kind, line]) =>
    h("span", { class: `line ${kind}` }, h("span", { class: "sign" }, SIGNS[kind]), highlighted(line), "\n"),
  );
  return h("pre", { class: "sql diff", tabindex: 0, role: "region", "aria-label": label }, lines);
}

/** A rule's text without the comment before it: what that says stands beside it already. */
export const withoutFront = (sql) => sql.replace(/^\s*\/\*[\s\S]*?\*\/\s*/, "");
