"""``m1cep data``: the real capture from the package index, and the synthetic flow as files."""

import json
from pathlib import Path

import orjson
import pytest

from streams.demo.synthetic import SyntheticFlow

START = 1_777_689_381_000


def lines(path):
    with Path(path).open("rb") as records:
        yield from records


def test_the_real_capture_is_fetched_once_and_is_what_it_should_be(m1cep):
    first = m1cep("data", "fetch", "bitstamp", "--json", timeout_s=600)
    if first.returncode == 4:
        pytest.skip(f"the package index is not reachable: {first.stderr.strip()}")
    assert first.returncode == 0, first.stderr
    facts = json.loads(first.stdout)
    assert facts["fetched"]
    assert facts["events"] == {
        "market": 301_311,
        "book": 6_512,
        "by_action": {"changed": 266, "created": 150_377, "deleted": 150_384, "trade": 284},
    }
    assert list(facts["left_out"].values()) == [6_518]

    last_ts, ids, two_before = 0, set(), []
    for line in lines(facts["market"]):
        event = orjson.loads(line)
        assert event["ts"] >= last_ts
        last_ts = event["ts"]
        ids.add(event["event_id"])
        if event["action"] == "trade":
            assert set(two_before) == {event["buy_order_id"], event["sell_order_id"]}
        else:
            two_before = [*two_before[-1:], event["order_id"]]
    assert len(ids) == 301_311

    again = m1cep("data", "fetch", "bitstamp", "--json")
    assert again.returncode == 0, again.stderr
    second = json.loads(again.stdout)
    assert second == {**facts, "fetched": False, "seconds": second["seconds"]}
    folder = Path(facts["market"]).parent
    assert sorted(p.name for p in folder.iterdir()) == ["book.ndjson", "manifest.json", "market.ndjson"]
    assert [p.name for p in folder.parent.iterdir()] == [folder.name], "something was left behind"


def test_without_a_package_index_one_line_says_so_and_nothing_is_left(m1cep, home):
    nowhere = "http://127.0.0.1:9/simple"
    done = m1cep(
        "data",
        "fetch",
        "bitstamp",
        PIP_INDEX_URL=nowhere,
        PIP_EXTRA_INDEX_URL="",
        PIP_FIND_LINKS="",
        UV_DEFAULT_INDEX=nowhere,
        UV_NO_CACHE="1",
        timeout_s=120,
    )
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("m1cep: ob-analytics==0.1.0 cannot be had from the package index (")
    assert "pip: the index does not answer" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list((home / "data").iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_named(m1cep, tmp_path):
    (tmp_path / "home").write_text("a file, not a folder")
    done = m1cep("data", "fetch", "bitstamp")
    assert done.returncode == 2
    assert str(tmp_path / "home") in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_synthetic_flow_is_written_as_the_generator_makes_it(m1cep, tmp_path):
    options = ["--minutes", "2", "--seed", "5", "--events-per-minute", "2000", "--bad-records", "3", "--json"]
    done = m1cep("data", "synthetic", "--out", tmp_path / "flow", *options)
    assert done.returncode == 0, done.stderr
    flow = SyntheticFlow(5, START, 120_000, events_per_minute=2_000, bad_records=3)
    expected = {"orders": [], "fills": [], "accounts": []}
    for stream, event in flow:
        expected[stream].append((event if isinstance(event, bytes) else orjson.dumps(event)) + b"\n")
    for stream, records in expected.items():
        assert list(lines(tmp_path / "flow" / f"{stream}.ndjson")) == records
    assert json.loads(done.stdout)["events"] == {name: len(records) for name, records in expected.items()}
    planted = json.loads((tmp_path / "flow" / "planted.json").read_text())
    assert [p["account"] for p in planted] == [p.account for p in flow.planted]


def test_an_impossible_flow_is_refused_in_one_line(m1cep, tmp_path):
    done = m1cep("data", "synthetic", "--out", tmp_path, "--events-per-minute", "99999")
    assert done.returncode == 2
    assert "18000 events a minute" in done.stderr
    assert done.stderr.count("\n") == 1
