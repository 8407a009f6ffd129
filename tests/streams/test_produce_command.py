"""``m1cep produce``: lines of a file or of standard input onto a topic."""

import json
import signal
import subprocess
import sys
import time
import uuid

import orjson
import pytest
from kafka import KafkaConsumer

pytestmark = pytest.mark.broker

DDL = """
CREATE TABLE {name} (
  event_id STRING NOT NULL, account STRING NOT NULL, ts TIMESTAMP(3) NOT NULL, WATERMARK FOR ts AS ts
) PARTITIONED BY (account) WITH ('topic' = '{name}.v1');
"""


@pytest.fixture
def stream(broker, m1cep, tmp_path):
    """Name and topic of a stream of its own, and the file that declares it."""
    name = f"s{uuid.uuid4().hex}"
    ddl = tmp_path / "streams.sql"
    ddl.write_text(DDL.format(name=name))
    assert m1cep("topics", "create", "--streams", ddl, M1CEP_BROKER=broker.address).returncode == 0
    return name, f"{name}.v1", ddl


@pytest.fixture
def produce(broker, m1cep, stream):
    name, _, ddl = stream
    return lambda *more, **env: m1cep(
        "produce", "--stream", name, "--streams", ddl, *more, M1CEP_BROKER=broker.address, **env
    )


def records_of(broker, topic, count):
    consumer = KafkaConsumer(
        topic, bootstrap_servers=broker.address, auto_offset_reset="earliest", max_partition_fetch_bytes=1 << 24
    )
    got = []
    deadline = time.monotonic() + 80
    while len(got) < count and time.monotonic() < deadline:
        for records in consumer.poll(500).values():
            got += [(r.key, r.value) for r in records]
    consumer.close()
    assert len(got) == count
    return got


def event(n, ts=1_777_689_381_000):
    return orjson.dumps({"event_id": f"e{n}", "account": f"acct-{n % 7}", "ts": ts})


def test_a_file_goes_to_the_topic_line_by_line_with_the_streams_key(broker, produce, stream, tmp_path):
    file = tmp_path / "events.ndjson"
    events = [event(n) for n in range(500)]
    file.write_bytes(b"\n".join([*events[:250], b"", b"  ", *events[250:]]))
    done = produce("--file", file, "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["topic"], summary["events"], summary["interrupted"]) == (stream[1], 500, False)
    got = records_of(broker, stream[1], 500)
    assert sorted(got) == sorted((orjson.loads(e)["account"].encode(), e) for e in events)


@pytest.mark.embedded_only("it is about the command")
@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"event_id": "e1", ', "line 3: expected a JSON object, one a line: "),
        (b'["not", "an object"]', "line 3: expected a JSON object, one a line: it is not an object"),
        (b'{"event_id": "e1", "ts": 1}', "line 3: the event has no account, which is the key of"),
        (b'{"event_id": "\xff", "account": "a", "ts": 1}', "line 3: expected a JSON object"),
    ],
)
def test_a_line_that_is_no_event_ends_it_with_its_number_and_what_was_sent(produce, tmp_path, line, said):
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"\n".join([event(1), event(2), line, event(3)]))
    done = produce("--file", file)
    assert done.returncode == 2
    assert f"{file}, {said}" in done.stderr
    assert "2 events before it were sent; see --raw" in done.stderr
    assert done.stderr.count("\n") == 1


def test_raw_sends_damaged_lines_as_they_are_next_to_good_ones(broker, produce, stream, tmp_path):
    file = tmp_path / "events.ndjson"
    lines = [
        event(1),
        b"{not json",
        b"[1]",
        b'{"ts": 1}',
        b"\xff\xfe",
        b'{"account":"a","n":' + b"9" * 40 + b"}",
        event(2),
    ]
    lines.append(orjson.dumps({"account": "x" * 2_000_000}))
    file.write_bytes(b"\n".join(lines) + b"\n")
    done = produce("--file", file, "--raw", "--json")
    assert done.returncode == 0, done.stderr
    got = records_of(broker, stream[1], len(lines))
    assert sorted(value for _, value in got) == sorted(lines)
    assert {value: key for key, value in got}[event(1)] == b"acct-1"


def test_standard_input_with_speed_keeps_the_events_apart(broker, stream, command_env, tmp_path):
    name, topic, ddl = stream
    command = [sys.executable, "-c", "import sys; from streams.cli import main; sys.exit(main())"]
    process = subprocess.Popen(
        [*command, "produce", "--stream", name, "--streams", str(ddl), "--speed", "2", "--json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=command_env | {"M1CEP_BROKER": broker.address},
        cwd=tmp_path,
    )
    lines = [event(0, 1_000), event(1, "1970-01-01T00:00:02.000Z"), event(2, 3_000)]
    out, err = process.communicate(b"\n".join(lines), timeout=60)
    assert process.returncode == 0, err
    summary = json.loads(out)
    assert summary["events"] == 3
    assert summary["seconds"] >= 1.0, "two seconds of event time at double speed"
    assert len(records_of(broker, topic, 3)) == 3


@pytest.mark.embedded_only("it is about the command")
def test_speed_without_a_time_is_refused(produce, tmp_path):
    file = tmp_path / "events.ndjson"
    file.write_bytes(event(1, "soon"))
    done = produce("--file", file, "--speed", "1")
    assert done.returncode == 2
    assert "line 1: --speed needs the event's time in ts" in done.stderr


def test_ctrl_c_delivers_what_was_sent_and_says_how_much(broker, stream, start_m1cep, tmp_path):
    name, topic, ddl = stream
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"\n".join([event(0, 1_000), event(1, 1_001), event(2, 3_600_000)]))
    process = start_m1cep(
        "produce", "--stream", name, "--streams", ddl, "--file", file, "--speed", "1", "--json",
        M1CEP_BROKER=broker.address,
    )  # fmt: skip
    records_of(broker, topic, 2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert json.loads(out)["events"] == 2
    assert json.loads(out)["interrupted"]
    assert "Traceback" not in err


@pytest.mark.embedded_only("it is about the command")
def test_no_broker_no_file_no_stream_are_one_line_each(m1cep, produce, tmp_path):
    for done, code, said in (
        (
            m1cep("produce", "--stream", "orders", "--file", __file__, M1CEP_BROKER="127.0.0.1:9"),
            3,
            "no Kafka broker answers",
        ),
        (produce("--file", tmp_path / "nothing.ndjson"), 2, "nothing.ndjson cannot be read: No such file"),
        (produce("--file", tmp_path), 2, "cannot be read: Is a directory"),
        (
            m1cep("produce", "--stream", "events"),
            2,
            "no stream 'events' that can be written to; streams are accounts, ",
        ),
    ):
        assert done.returncode == code, done.stderr
        assert said in done.stderr
        assert done.stderr.count("\n") == 1
