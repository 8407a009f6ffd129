"""``m1cep rules explain RULE --events ...``: why a rule did not fire, as a command."""

import json

import pytest

RULE = """/*
id: pulled
suppress: 1 h
params: {min_unfilled: 0.9}
*/
SELECT account, placed FROM orders MATCH_RECOGNIZE (
  PARTITION BY account
  ORDER BY ts
  MEASURES NEW.order_id AS placed
  PATTERN (NEW OTHER*? CANCEL)
  WITHIN INTERVAL '10' SECOND
  DEFINE
    NEW AS action = 'new',
    CANCEL AS action = 'cancel' AND order_id = NEW.order_id AND qty >= :min_unfilled * NEW.qty
)
"""
START = 1_777_689_400_000


def order(event_id, second, action, qty, account="a1", order_id="o1"):
    return {
        "event_id": event_id,
        "account": account,
        "order_id": order_id,
        "symbol": "BTC-USD",
        "action": action,
        "side": "buy",
        "price": 1.0,
        "qty": qty,
        "ts": START + second * 1000,
    }


NEAR_MISS = [
    order("e1", 0, "new", 50.0),
    order("e2", 1, "cancel", 40.0, order_id="o2"),
    order("e3", 2, "cancel", 40.0),
    order("x1", 30, "new", 1.0, account="a2", order_id="o3"),
]


@pytest.fixture
def explain(m1cep, tmp_path):
    def run(*arguments, events=NEAR_MISS, rule=RULE):
        (tmp_path / "r.sql").write_text(rule)
        text = "".join(e if isinstance(e, str) else json.dumps(e) + "\n" for e in events)
        (tmp_path / "o.ndjson").write_text(text)
        return m1cep("rules", "explain", "r.sql", *arguments)

    return run


def test_says_how_far_the_nearest_attempt_got_and_which_condition_failed_on_which_event(explain):
    done = explain("--events", "orders=o.ndjson", "--key", "account=a1")
    assert done.returncode == 0, done.stderr
    told = done.stdout[done.stdout.index("account=a1") :]
    assert "1. 1 row missing: no CANCEL came before WITHIN ran out, 10 s after the first event" in told
    assert "NEW     e1  2026-05-02T02:36:40.000Z" in told
    assert "CANCEL  e3  +2 s  does not fit" in told
    assert (
        "✗ CANCEL.qty >= :min_unfilled * NEW.qty: 40.0 >= 45.0 is false, with :min_unfilled = 0.9, NEW.qty = 50.0"
        in told
    )
    assert (
        "  14 |     CANCEL AS action = 'cancel' AND order_id = NEW.order_id AND qty >= :min_unfilled * NEW.qty" in told
    )
    assert "✓ CANCEL.order_id = NEW.order_id" in told
    assert "x1" not in told
    assert "def try_CANCEL" not in done.stdout, "a hundred lines of code before it would push the answer off the screen"


def test_without_a_key_the_keys_that_came_nearest_are_a_table(explain):
    done = explain("--events", "orders=o.ndjson")
    assert done.returncode == 0, done.stderr
    table = done.stdout[done.stdout.rindex("nearest") :]
    assert table.index("account=a1") < table.index("account=a2")
    assert "--key COLUMN=VALUE tells more of one" in table


def test_json_carries_the_same(explain):
    done = explain("--events", "orders=o.ndjson", "--key", "account=a1", "--json")
    found = json.loads(done.stdout)
    assert found["id"] == "pulled"
    assert "try_CANCEL" in found["code"]
    [key] = found["why_not"]["keys"]
    [near, *_] = key["near"]
    assert (near["event"]["id"], near["variable"], near["missing"]) == ("e3", "CANCEL", 1)
    [failed] = [f for f in near["findings"] if not f["holds"]]
    assert failed["values"] == {"CANCEL.qty": 40.0, ":min_unfilled": 0.9, "NEW.qty": 50.0}
    assert (failed["line"], failed["sql"]) == (14, "CANCEL.qty >= :min_unfilled * NEW.qty")
    assert found["read"]["events"] == 4


def test_matches_and_those_that_were_kept_back_late_events_and_bad_lines(explain):
    events = [
        order("e1", 0, "new", 1.0),
        order("e2", 1, "cancel", 1.0),
        order("e3", 60, "new", 1.0),
        "no event\n",
        order("e4", 61, "cancel", 1.0),
        order("e5", 9, "new", 1.0),
    ]
    done = explain("--events", "orders=o.ndjson", "--key", "account=a1", events=events)
    assert "match at 2026-05-02T02:36:41.000Z  of e1 e2\n" in done.stdout
    assert "of e3 e4  kept back by suppress: an alert of this key came shortly before" in done.stdout
    assert "e5 of orders came too late and was not given to the rule: 51.8 s behind the watermark" in done.stdout
    assert "1 lines are no events" in done.stdout


def test_the_parameters_of_a_lookups_folder_are_in_force(explain, tmp_path):
    (tmp_path / "known").mkdir()
    (tmp_path / "known" / "params.yaml").write_text("rules: {pulled: {min_unfilled: 0.85}}\n")
    done = explain("--events", "orders=o.ndjson", "--key", "account=a1", "--lookups", "known")
    assert "40.0 >= 42.5 is false" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--key", "account=a1"], "--key asks about events"),
        (["--events", "orders=o.ndjson", "--key", "a1"], "--key expects COLUMN=VALUE"),
        (["--events", "orders=o.ndjson", "--key", "symbol=x"], "has no key column 'symbol': expected one of account"),
        (["--events", "fills=o.ndjson"], "rule 'pulled' reads orders: no --events names one of them"),
        (["--events", "orders=none.ndjson"], "none.ndjson cannot be read"),
    ],
)
def test_a_wrong_use_is_exit_code_2_and_says_what_to_do(explain, arguments, said):
    done = explain(*arguments)
    assert done.returncode == 2
    assert said in done.stderr.replace("\n", " ")


def test_a_key_that_did_not_come_is_said_with_some_that_did(explain):
    done = explain("--events", "orders=o.ndjson", "--key", "account=nobody")
    assert done.returncode == 0
    assert "no event of such a key came; there were others, such as account=a1; account=a2" in done.stdout
