"""Rules on Flink itself: the exported job finds in a file what ``m1cep replay`` finds.

Needs Java and an environment with Flink (the extra ``flink``, or another Python with apache-flink: M1CEP_FLINK_PYTHON).
"""

import collections
import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from m1cep.sql.flink import Connector, flink_job
from streams.files import load_rules, load_streams

ROOT = Path(__file__).parents[2]
RUNNER = ROOT / "bench" / "flink_runner.py"
GOLDEN = ROOT / "tests" / "golden"
PYTHON = os.environ.get("M1CEP_FLINK_PYTHON", sys.executable)
STREAMS = load_streams()
BASES = sorted(name for name, stream in STREAMS.items() if not stream.is_view)


def missing():
    """Why Flink cannot run here, or nothing."""
    if shutil.which("java") is None:
        return "there is no java"
    asked = "import py4j, importlib.util, sys; sys.exit(importlib.util.find_spec('pyflink') is None)"
    if subprocess.run([PYTHON, "-c", asked], capture_output=True, check=False).returncode:
        return f"{PYTHON} has no Flink: uv sync --extra flink, or M1CEP_FLINK_PYTHON"
    return ""


pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

MATCH = """SELECT {select} FROM {source} MATCH_RECOGNIZE (
  PARTITION BY account ORDER BY ts MEASURES {measures}
  {rows} PATTERN ({pattern}) WITHIN INTERVAL {within} DEFINE {define})"""


def match(pattern, define, measures, *, select="*", source="orders", rows="", within="'10' SECOND"):
    return MATCH.format(**locals())


ABC = "A AS A.action = 'new' AND A.side = 'buy' AND A.qty > 1, B AS B.action = 'cancel', C AS C.side = 'sell' AND C.qty < 2"
RULES = {
    "filter": """
/*
params: {least: 2.5, sides: buy, far: 1 s}
*/
SELECT account, ABS(qty - 3) AS missing, price / qty AS ratio, qty / (price - price) AS none, COALESCE(price, 0) AS price,
  CASE WHEN qty > 2.8 THEN 'large' ELSE 'small' END AS size, UPPER(symbol) || '!' AS symbol, EXTRACT(HOUR FROM ts) AS hour,
  IF(side = 'buy', 1, 2) AS side, SUBSTRING(account, 5, 2) AS part, LENGTH(symbol) AS letters, GREATEST(qty, 2) AS most,
  LN(2 - qty) AS log, ROUND(qty, 2) AS rounded, CAST(price AS BIGINT) AS whole, CAST(account AS INT) AS nothing,
  ts, 7 / 2 AS three, ts + :far AS later, ts + INTERVAL '250' MILLISECOND AS soon
FROM orders WHERE action = 'new' AND (qty > :least OR price IS NULL) AND side = :sides AND symbol LIKE '%-USD'""",
    "a-b-c": match("A B C", ABC, "A.qty AS a, B.qty AS b, C.qty AS c, C.ts - A.ts AS span_us"),
    "next-row": match("A B C", ABC, "A.qty AS a, C.ts AS ts", rows="AFTER MATCH SKIP TO NEXT ROW"),
    "loop": match(
        "A{3,} W",
        "A AS A.action = 'new', W AS W.action = 'cancel' AND W.qty > 2",
        "COUNT(A.*) AS n, COUNT(*) AS all_rows, SUM(A.qty) AS qty, AVG(A.price) AS price, MIN(A.qty) AS least, MAX(A.ts) AS last,"
        " FIRST(A.order_id) AS first_order, FIRST(A.order_id, 1) AS second_order, LAST(A.order_id) AS last_order,"
        " COUNT(A.*) FILTER (WHERE A.side = 'buy') AS bought, COUNT(A.price) AS priced, W.ts - FIRST(A.ts) AS span_us",
        within="'60' SECOND",
    ),
    "average": match(
        "A+ B",
        "A AS A.action = 'new', B AS B.action = 'cancel' AND B.qty > 1.5 * AVG(A.qty)",
        "AVG(A.qty) AS mean, B.qty AS qty",
    ),
    "reluctant": match(
        "A X*? B X*? C",
        "A AS A.qty > 2.8, B AS B.qty < 0.3, C AS C.side = 'sell' AND C.qty > 2",
        "C.ts - A.ts AS span_us, COUNT(*) AS n",
    ),
    "rising": match(
        "A UP{2,} DOWN",
        "UP AS UP.qty > PREV(UP.qty), DOWN AS DOWN.qty <= PREV(DOWN.qty)",
        "COUNT(UP.*) AS ups, LAST(UP.qty) AS top, DOWN.qty AS qty",
    ),
    "optional": match(
        "A B? C", ABC.replace("C.side = 'sell'", "C.action = 'new'"), "A.qty AS a, B.qty AS b, C.qty AS c"
    ),
    "outer-where": match("A B C", ABC, "A.qty AS a, C.qty AS c", select="Account, a - c AS d") + " WHERE a > c + 1",
    "inner-where": match(
        "N N2",
        "N2 AS N2.qty > N.qty * 10",
        "N.qty AS n, N2.qty AS m",
        source="(SELECT account, qty, ts FROM orders WHERE action = 'new')",
    ),
    "over": """SELECT account, total, largest, cancelled, mean, ts FROM (SELECT *,
  SUM(qty) OVER w AS total, MAX(price) OVER w AS largest, COUNT(*) FILTER (WHERE action = 'cancel') OVER w AS cancelled,
  AVG(LENGTH(side)) OVER w AS mean FROM orders
  WINDOW w AS (PARTITION BY account ORDER BY ts RANGE BETWEEN INTERVAL '20' SECOND PRECEDING AND CURRENT ROW))
  WHERE total > 12 AND cancelled > 2""",
    "qualify": """SELECT account, ts, COUNT(*) OVER (PARTITION BY account, side ORDER BY ts
  RANGE BETWEEN INTERVAL '1500' MILLISECOND PRECEDING AND CURRENT ROW) AS n FROM orders WHERE qty > 0.5 QUALIFY n > 3""",
    "view": match(
        "O F O2",
        "O AS O.kind = 'order' AND O.action = 'new', F AS F.kind = 'fill' AND F.side <> O.side, "
        "O2 AS O2.action = 'cancel' AND O2.side = O.side",
        "O.event_id AS o, F.event_id AS f, O2.event_id AS o2",
        source="events",
    ),
    "tumble": """SELECT account, window_start, window_end, COUNT(*) AS n, SUM(qty) FILTER (WHERE side = 'buy') AS bought,
  COUNT(DISTINCT symbol) AS symbols, AVG(LENGTH(side)) AS mean
  FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '7' SECOND))
  WHERE qty > 0.5 GROUP BY account, window_start, window_end HAVING COUNT(*) > 5""",
    "offset": """SELECT account, n, ends FROM (SELECT account, window_end AS ends, COUNT(*) AS n FROM TABLE(TUMBLE(
  DATA => TABLE events, TIMECOL => DESCRIPTOR(ts), SIZE => INTERVAL '3' SECOND, OFFSET => INTERVAL '0.5' SECOND))
  GROUP BY account, window_start, window_end) WHERE n > 3""",
    "session": """SELECT account, window_start, window_end, COUNT(*) AS n FROM TABLE(SESSION(TABLE orders PARTITION BY account,
  DESCRIPTOR(ts), INTERVAL '1.5' SECOND)) GROUP BY account, window_start, window_end""",
    "join": """SELECT o.account, o.event_id AS o, f.event_id AS f, f.ts - o.ts AS span FROM orders o JOIN fills AS f
  ON o.account = f.account AND f.ts BETWEEN o.ts AND o.ts + INTERVAL '2' SECOND AND O.side <> f.side WHERE o.qty > 1""",
    "left-join": """SELECT o.account, o.event_id AS o FROM orders o LEFT JOIN fills f
  ON o.account = f.account AND f.ts >= o.ts AND f.ts < o.ts + INTERVAL '5' SECOND WHERE f.event_id IS NULL""",
}
PACKAGED = {rule.id: rule for rule in load_rules(None, STREAMS)}


def write_events(folder):
    """Orders and fills of a few accounts, no two events at one time, and nothing in the other streams."""
    rng = random.Random(5)
    ts = 1_700_000_000_000
    lines = collections.defaultdict(list)
    for i in range(4_000):
        ts += rng.randrange(1, 150)
        event = {"event_id": f"e{i}", "account": f"acc-{rng.randrange(12):04d}", "order_id": f"o{i}", "ts": ts}
        event |= {"symbol": rng.choice(("BTC-USD", "eth")), "side": rng.choice(("buy", "sell"))}
        event |= {"qty": round(rng.uniform(0.1, 3), 3), "price": round(rng.uniform(10, 700), 2)}
        if rng.random() < 0.2:
            lines["fills"].append(event | {"trade_id": f"t{i}"})
        else:
            price = None if rng.random() < 0.1 else event["price"]
            lines["orders"].append(event | {"price": price, "action": rng.choice(("new", "new", "cancel"))})
    write_streams(folder, lines)


def write_streams(folder, events):
    """A file for each stream, in the order of time."""
    for stream in BASES:
        text = "".join(json.dumps(e) + "\n" for e in sorted(events.get(stream, []), key=lambda e: e["ts"]))
        (folder / f"{stream}.ndjson").write_text(text)


def golden_events(rule):
    """What a packaged rule fires on; see tests/golden for lines that stand for several events."""
    events = collections.defaultdict(list)
    for line in map(json.loads, (GOLDEN / rule / "fires.ndjson").read_text().splitlines()):
        event = line["event"]
        if "times" not in line:
            events[line["stream"]].append(event)
        for n in range(line.get("times", 0)):
            numbered = {name: f"{event[name]}-{n}" for name in ("event_id", "order_id") if name in event}
            events[line["stream"]].append(event | numbered | {"ts": event["ts"] + n * line["step_ms"]})
    return events


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """By rule: the rows that replay found, and those that Flink found (or its error)."""
    folder = tmp_path_factory.mktemp("flink")
    write_events(folder)
    (folder / "rules").mkdir()
    jobs = []
    for name, text in RULES.items():
        (folder / "rules" / f"{name}.sql").write_text(text)
        (folder / name).mkdir()
        for s in BASES:
            (folder / name / f"{s}.ndjson").symlink_to(folder / f"{s}.ndjson")
        jobs.append(job_of(name, text, folder / name))
        assert jobs[-1]["statements"], name
    ours = replayed(folder / "rules", folder)
    for name, rule in PACKAGED.items():
        (folder / name).mkdir()
        job = job_of(name, rule.text, folder / name)
        if job["statements"]:
            write_streams(folder / name, golden_events(name))
            alerts = (GOLDEN / name / "alerts.json").read_text()
            ours[name] = [json.loads(a)["row"] for a in re.findall(r"^\{$.*?^\}$", alerts, re.DOTALL | re.MULTILINE)]
            jobs.append(job)
    (folder / "jobs.json").write_text(json.dumps(jobs))
    ran = subprocess.run([PYTHON, RUNNER, folder / "jobs.json"], capture_output=True, check=False, timeout=900)
    answers = {a["name"]: a for a in map(json.loads, ran.stdout.splitlines())}
    assert answers.keys() == {job["name"] for job in jobs}, ran.stderr.decode()[-3000:]
    return {name: (ours[name], flink_rows(folder / name, answer)) for name, answer in answers.items()}


def job_of(name, text, folder):
    job = flink_job(text, STREAMS, name=name, connector=Connector(folder=str(folder)))
    return {"name": name, "statements": job.statements}


def replayed(rules, folder):
    """Rows by rule, of ``m1cep replay``."""
    inputs = [a for s in BASES for a in ("--events", f"{s}={folder / s}.ndjson")]
    command = [sys.executable, "-m", "streams.cli", "replay", rules, *inputs]
    run = subprocess.run(command, capture_output=True, check=False, cwd=ROOT)
    assert run.returncode == 0, run.stderr.decode()
    rows = collections.defaultdict(list)
    for alert in map(json.loads, run.stdout.splitlines()):
        rows[alert["rule"]].append(alert["row"])
    return rows


def flink_rows(folder, answer):
    if "error" in answer:
        return answer["error"]
    files = [f for f in (folder / "alerts").rglob("*") if f.is_file() and not f.name.startswith((".", "_"))]
    return [json.loads(line)["row"] for f in files for line in f.read_text().splitlines()]


def as_multiset(rows):
    """Rows without order; 2.0 as 2, and numbers to 10 digits: Flink adds doubles one by one, M1CEP rounds once."""

    def plain(value):
        if not isinstance(value, float):
            return value
        short = float(f"{value:.10g}")
        return int(short) if short.is_integer() else short

    return collections.Counter(json.dumps({k: plain(v) for k, v in row.items()}, sort_keys=True) for row in rows)


@pytest.mark.parametrize("name", RULES)
def test_flink_finds_what_replay_finds(found, name):
    ours, theirs = found[name]
    assert isinstance(theirs, list), theirs
    assert ours, "the rule must find something"
    assert as_multiset(theirs) == as_multiset(ours)


@pytest.mark.parametrize("name", PACKAGED)
def test_packaged_rules_fire_on_flink_as_here(found, name):
    """Flink does not know suppress, and then has more."""
    if name not in found:
        pytest.skip("Flink cannot run it: m1cep rules flink says why")
    ours, theirs = found[name]
    assert isinstance(theirs, list), theirs
    here, there = as_multiset(ours), as_multiset(theirs)
    assert here == there or (PACKAGED[name].matter.suppress and not here - there)
