"""``m1cep replay``: files in, alerts out, bad lines set aside."""

import json
import subprocess
import sys

import pytest

RULE = "/*\nid: big\nseverity: low\n*/\nSELECT account, qty FROM orders WHERE qty > 1\n"
PAIR = """/*
id: pair
*/
SELECT * FROM events MATCH_RECOGNIZE (PARTITION BY account ORDER BY ts MEASURES A.qty AS ordered, B.qty AS filled
  PATTERN (A B) WITHIN INTERVAL '10' SECOND DEFINE A AS A.kind = 'order', B AS B.kind = 'fill')
"""


def order(number, ts, qty=2.0, **changes):
    base = {
        "event_id": f"o{number}",
        "account": "a",
        "order_id": f"o{number}",
        "symbol": "B",
        "action": "new",
        "side": "buy",
    }
    return base | {"price": 1.0, "qty": qty, "ts": ts} | changes


def fill(number, ts):
    base = {"event_id": f"f{number}", "account": "a", "order_id": "o", "trade_id": "t", "symbol": "B", "side": "buy"}
    return base | {"price": 1.0, "qty": 0.5, "ts": ts}


@pytest.fixture
def files(tmp_path):
    def write(name, content):
        text = content if isinstance(content, str) else "".join(json.dumps(e) + "\n" for e in content)
        (tmp_path / name).write_text(text)
        return name

    return write


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_alerts_are_json_lines_on_stdout(m1cep, files):
    files("r.sql", RULE)
    files("o.ndjson", [order(1, 5), order(2, 6, qty=1.0)])
    done = m1cep("replay", "r.sql", "--events", "orders=o.ndjson")
    assert done.returncode == 0, done.stderr
    [alert] = lines(done.stdout)
    assert set(alert) == {"id", "rule", "severity", "key", "row", "event_time", "events"}
    assert alert["row"] == {"account": "a", "qty": 2.0}
    assert (alert["rule"], alert["severity"], alert["key"], alert["event_time"]) == ("big", "low", {"account": "a"}, 5)
    assert "2 events, 1 alert (" in done.stderr


def test_streams_are_merged_by_event_time_whatever_the_files_order(m1cep, files):
    files("p.sql", PAIR)
    files("o.ndjson", [order(n, n * 1000) for n in range(0, 20_000, 2)])
    files("f.ndjson", [fill(n, n * 1000) for n in range(1, 20_000, 2)])
    done = m1cep("replay", "p.sql", "--events", "fills=f.ndjson", "--events", "orders=o.ndjson")
    found = lines(done.stdout)
    assert len(found) == 10_000
    assert found[0]["events"] == ["o0", "f1"]


def test_bad_lines_are_set_aside_with_number_and_reason(m1cep, files, tmp_path):
    files("r.sql", RULE)
    good = json.dumps(order(1, 5))
    files("o.ndjson", "\n".join(["not json", good, "", good.replace('"ts": 5', '"ts": "x"'), good.replace("o1", "o2")]))
    done = m1cep(
        "replay", "r.sql", "--events", "orders=o.ndjson", "--dead-letters", "dead.ndjson", "--out", "alerts.ndjson"
    )
    assert done.returncode == 0
    assert (tmp_path / "dead.ndjson").stat().st_mode & 0o077 == 0  # events as they came, for the owner alone
    assert "2 bad lines" in done.stderr
    letters = lines((tmp_path / "dead.ndjson").read_text())
    assert [(d["line"], d["column"], d["raw"][:8]) for d in letters] == [(1, None, "not json"), (4, "ts", '{"event_')]
    assert len(lines((tmp_path / "alerts.ndjson").read_text())) == 2


def test_late_events_are_counted_and_set_aside(m1cep, files, tmp_path):
    files("r.sql", RULE)
    files("o.ndjson", [order(1, 5_000), order(2, 1_000)])  # orders may be 200 ms late, not four seconds
    done = m1cep("replay", "r.sql", "--events", "orders=o.ndjson", "--dead-letters", "dead.ndjson")
    assert "1 late event" in done.stderr
    [letter] = lines((tmp_path / "dead.ndjson").read_text())
    assert letter["line"] == 2
    assert letter["reason"].startswith("late: older than the watermark 4800")


def test_lists_and_parameters_come_from_a_folder(m1cep, files, tmp_path):
    files(
        "r.sql",
        "/*\nparams: {limit: 5}\n*/ SELECT account FROM orders WHERE IN_LIST('watched', account) AND qty > :limit",
    )
    files("o.ndjson", [order(1, 1000), order(2, 2000, account="b")])
    missing = m1cep("replay", "r.sql", "--events", "orders=o.ndjson")
    assert missing.returncode == 1
    assert "rule 'r' reads list 'watched', which is not there" in missing.stderr
    (tmp_path / "own" / "lists").mkdir(parents=True)
    files("own/lists/watched.txt", "b\n")
    files("own/params.yaml", "rules: {r: {limit: 1}}\n")
    done = m1cep("replay", "r.sql", "--events", "orders=o.ndjson", "--lookups", "own")
    assert [line["row"] for line in lines(done.stdout)] == [{"account": "b"}]
    files("own/params.yaml", "rules: {r: {limit: many}}\n")
    wrong = m1cep("replay", "r.sql", "--events", "orders=o.ndjson", "--lookups", "own")
    assert wrong.returncode == 1
    assert "parameter :limit of rule 'r': expected BIGINT, got 'many'" in wrong.stderr


def test_stdin(files, tmp_path):
    files("r.sql", RULE)
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli", "replay", "r.sql", "--events", "orders=-"],
        input=json.dumps(order(1, 5)).encode(),
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    assert len(lines(done.stdout)) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["r.sql", "--events", "orders=o.ndjson", "--strict"], 1, "line 1 of stream orders"),
        (["bad.sql", "--events", "orders=o.ndjson"], 1, "bad.sql:1:8: stream 'orders' has no column 'acount'"),
        (["r.sql"], 2, "expected events to replay"),
        (["r.sql", "--events", "order=o.ndjson"], 2, "no stream 'order'"),
        (["r.sql", "--events", "orders"], 2, "NAME=FILE"),
        (["r.sql", "--events", "orders=missing.ndjson"], 2, "missing.ndjson cannot be read"),
        (["missing.sql", "--events", "orders=o.ndjson"], 2, "no rule file or folder missing.sql"),
        (["r.sql", "--nonsense"], 2, "No such option"),
    ],
)
def test_exit_codes_and_one_clear_message(m1cep, files, arguments, code, message):
    files("r.sql", RULE)
    files("bad.sql", "SELECT acount FROM orders")
    files("o.ndjson", "nonsense\n")
    done = m1cep("replay", *arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_check_says_what_is_wrong_with_each_rule(m1cep, files):
    files("r.sql", RULE)
    files("bad.sql", "SELECT acount FROM orders")
    done = m1cep("rules", "check", ".", "--json")
    assert done.returncode == 1
    by_file = {row["file"]: row for row in lines(done.stdout)}
    assert by_file["bad.sql"]["line"] == 1
    assert by_file["bad.sql"]["column"] == 8
    assert by_file["r.sql"]["id"] == "big"


def test_explain_shows_plan_and_code(m1cep, files):
    files("p.sql", PAIR)
    done = m1cep("rules", "explain", "p.sql")
    assert done.returncode == 0
    assert "within 10000 ms" in done.stdout
    assert "def try_A(" in done.stdout


def test_the_packaged_rules_are_fine(m1cep):
    assert m1cep("rules", "check").returncode == 0
