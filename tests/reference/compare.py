"""The engine and the reference over the same rows."""

from __future__ import annotations

from itertools import groupby

import m1cep
from reference.patterns import TooHardError
from reference.query import SkipError

STREAMS = m1cep.parse_streams(
    """
    CREATE TABLE letters (
      event_id STRING NOT NULL, k STRING NOT NULL, l STRING, v DOUBLE, n BIGINT, ts TIMESTAMP(3) NOT NULL,
      WATERMARK FOR ts AS ts
    ) PARTITIONED BY (k) WITH ('topic' = 'letters')
    """
)


def by_key(rows, key="k"):
    ordered = sorted(rows, key=lambda r: str(r[key]))
    return {k: list(group) for k, group in groupby(ordered, key=lambda r: r[key])}


def expected_of(query, rows):
    """(row, event ids) of every output row, per key; or the SkipError that some key ends in."""
    try:
        return {k: [tuple(o) for o in out] for k, part in by_key(rows, query.key).items() if (out := query.run(part))}
    except SkipError as error:
        return error


def engine_alerts(rule, rows, cuts=(), snapshot_at=None, stream="letters"):
    """The alerts over rows pushed in batches of those sizes; after ``snapshot_at`` rows the engine is stored and restored."""
    stops, at = set(), 0
    for cut in cuts:
        at += cut
        stops.add(at)
    stops = sorted(
        {min(s, len(rows)) for s in stops} | {len(rows)} | ({snapshot_at} if snapshot_at is not None else set())
    )
    engine, found, begin = m1cep.Engine([rule]), [], 0
    for stop in stops:
        found += engine.push(stream, rows[begin:stop])
        begin = stop
        if stop == snapshot_at:
            engine = m1cep.Engine.restore([rule], engine.snapshot())
    return found + engine.finish()


def grouped(alerts):
    """(row, event ids) of every alert, per key, in order."""
    found = {}
    for alert in alerts:
        (key,) = alert.key.values()
        found.setdefault(key, []).append((alert.row, alert.events))
    return found


def check(query, rows, cuts=(), snapshot_at=None, streams=STREAMS):
    """What the case was: "match", "no match", "skip error", or "too hard" for the reference.

    Raises:
        AssertionError: the engine finds something else than the reference; the message shows the case.
    """
    try:
        expected = expected_of(query, rows)
    except TooHardError:
        return "too hard"
    alerts = []
    try:
        rule = m1cep.compile_rule(query.sql(), streams, "case")
        alerts = engine_alerts(rule, rows, cuts, snapshot_at, query.source)
        found = grouped(alerts)
    except (m1cep.RuleError, m1cep.RuleFailure) as error:
        found = error
    assert _agree(query, expected, found), difference(query, rows, expected, found)
    ids = [alert.id for alert in alerts]
    assert len(set(ids)) == len(ids), difference(query, rows, "alerts with different ids", ids)
    if isinstance(found, Exception):
        return "skip error"
    return "match" if expected else "no match"


def _agree(query, expected, found):
    """The same rows; or both an error. A rule may also be refused when it is loaded, if its skip fails on every match."""
    if isinstance(found, m1cep.RuleError):
        skips = query.skip not in {"PAST LAST ROW", "TO NEXT ROW"} and "skip" in str(found).lower()
        return skips and (isinstance(expected, SkipError) or not _matched(query, expected))
    if isinstance(found, m1cep.RuleFailure) or isinstance(expected, SkipError):
        return isinstance(found, m1cep.RuleFailure) and isinstance(expected, SkipError)
    return found == expected


def _matched(query, expected):
    """Whether some row belongs to a match; rows outside of all matches have NULL for every measure."""
    rows = [row for out in expected.values() for row, events in out if events]
    return any(row[name] is not None for row in rows for name in query.measures) if rows else False


def difference(query, rows, expected, found):
    """The case as text."""
    columns = [c for c in rows[0] if any(r[c] is not None for r in rows)] if rows else []
    table = [" ".join(f"{c:>8}" for c in columns)]
    table += [" ".join(f"{'-' if r[c] is None else r[c]!s:>8}" for c in columns) for r in rows]
    return "\n".join(
        ["", query.sql(), "", *table, "", "expected", *_lines(expected, query), "", "got", *_lines(found, query)]
    )


def _lines(result, query):
    if not isinstance(result, dict):
        return [f"  {type(result).__name__}: {result}"]
    if not result:
        return ["  nothing"]
    shown = []
    for key, out in result.items():
        for row, events in out:
            values = {name: row.get(name, "missing") for name in query.measures} | {
                name: value for name, value in row.items() if name not in query.measures and len(out) < 3
            }
            shown.append(f"  {key}: [{' '.join(events)}]  " + ", ".join(f"{n}={v}" for n, v in values.items()))
    return shown
