"""Row patterns over strings of letters: each letter is a row, a second apart unless times are given.

matches("A B+ C", "ABBC")  ->  ["ABBC"]
"""

import m1cep

LETTERS = m1cep.parse_streams(
    """
    CREATE TABLE letters (
      event_id STRING NOT NULL, k STRING NOT NULL, l STRING NOT NULL, v DOUBLE, ts TIMESTAMP(3) NOT NULL,
      WATERMARK FOR ts AS ts
    ) PARTITIONED BY (k) WITH ('topic' = 'letters')
    """
)


def rows(text, *, key="k", times=None, values=None, start=0):
    """One event a letter; event ids are the letters with their position."""
    times = times or [1000 * i for i in range(len(text))]
    values = values or [float(i) for i in range(len(text))]
    return [
        {"event_id": f"{c}{start + i}", "k": key, "l": c, "v": v, "ts": t}
        for i, (c, t, v) in enumerate(zip(text, times, values, strict=True))
    ]


def rule_text(pattern, *, define="", measures="COUNT(*) AS n", within="1 HOUR", select="*", where="", **letters):
    """A rule on the stream; a variable without a definition given stands for its own letter, but X for any."""
    names = sorted({c for c in pattern.replace("ABSENT", "") if c.isupper()} - {"X"})
    defined = [f"{n} AS {letters.get(n) or f'{n}.l = {n!r}'}" for n in names]
    amount, unit = within.split() if within else ("", "")
    bound = f"WITHIN INTERVAL '{amount}' {unit}" if within else ""
    return f"""
    SELECT {select} FROM letters MATCH_RECOGNIZE (
      PARTITION BY k ORDER BY ts MEASURES {measures}
      PATTERN ({pattern}) {bound}
      DEFINE {", ".join(defined)}{define}
    ) {where}"""


def alerts(text, events, *, batch=None, streams=LETTERS, stream="letters"):
    """All alerts of one rule over events, pushed in batches."""
    engine = m1cep.Engine([m1cep.compile_rule(text, streams)])
    found = []
    for at in range(0, len(events), batch or max(1, len(events))):
        found += engine.push(stream, events[at : at + (batch or len(events))])
    return found + engine.finish()


def matches(pattern, text, **options):
    """The letters of each match."""
    times = options.pop("times", None)
    values = options.pop("values", None)
    found = alerts(rule_text(pattern, **options), rows(text, times=times, values=values))
    return ["".join(e[0] for e in alert.events) for alert in found]
