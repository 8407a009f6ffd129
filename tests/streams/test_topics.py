"""Topics: made once, complete, with the settings of the contract; listed; read. On the embedded broker."""

import json
import re
import signal
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType

from streams.config import Settings
from streams.errors import ServerError, ShellError
from streams.topic_table import BUILT_IN, Topic
from streams.topics import create_topics, list_topics

pytestmark = pytest.mark.broker

NOBODY = "127.0.0.1:1"
CONTRACT = Path(__file__).parents[2] / "rules" / "streams.sql"
STREAM = """
CREATE TABLE transfers (
  event_id STRING NOT NULL, account STRING NOT NULL, ts TIMESTAMP(3) NOT NULL,
  WATERMARK FOR ts AS ts
) PARTITIONED BY (account) WITH ('topic' = 'acme.transfers.v1');
"""


@pytest.fixture
def settings(own_broker, home):
    return Settings(broker=own_broker.address, home=home)


@pytest.fixture
def produce(own_broker, settings):
    """Sends (topic, key, value, headers) records and waits for the broker's answer to each."""
    producer = KafkaProducer(bootstrap_servers=own_broker.address, acks="all", enable_idempotence=False)

    def send(topic, *records, partition=None):
        create_topics(settings, [Topic(topic)])
        for key, value, headers in records:
            producer.send(topic, key=key, value=value, headers=headers, partition=partition).get(10)

    yield send
    producer.close()


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


class TestCreate:
    def test_twice_makes_them_once(self, settings):
        first = create_topics(settings)
        second = create_topics(settings)
        assert all(s.created for s in first)
        assert not any(s.created for s in second)
        assert {s.name: s.partitions for s in second} == {t.name: t.partitions or 4 for t in BUILT_IN}

    def test_every_built_in_stream_has_its_topic_among_the_inputs(self):
        declared = set(re.findall(r"'topic' = '([^']+)'", CONTRACT.read_text()))
        of_grids = {"m1cep.actions.v1", "m1cep.order-commands.v1", "m1cep.grid-log.v1", "m1cep.paper-log.v1"}
        assert declared | of_grids == {t.name for t in BUILT_IN if t.is_input}

    @pytest.mark.kafka_only
    def test_on_kafka_they_have_the_partitions_replication_and_settings_that_are_declared(self, m1cep, settings):
        assert m1cep("topics", "create", "--partitions", 6, M1CEP_BROKER=settings.broker).returncode == 0
        admin = KafkaAdminClient(bootstrap_servers=settings.broker)
        made = {t["name"]: t["partitions"] for t in admin.describe_topics([t.name for t in BUILT_IN])}
        found = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, t.name) for t in BUILT_IN])["topic"]
        admin.close()
        for topic in BUILT_IN:
            assert len(made[topic.name]) == (topic.partitions or 6), topic.name
            # -1 was asked for, which the broker takes as its default.replication.factor
            assert {len(p["replica_nodes"]) for p in made[topic.name]} == {1}, topic.name
            assert {name: setting["value"] for name, setting in found[topic.name].items()} == topic.config, topic.name
        assert found["m1cep.orders.v1"]["retention.ms"]["value"] == "604800000"
        assert found["m1cep.custody.releases.v1"]["retention.ms"]["value"] == "-1"
        assert found["m1cep.grids.v1"]["cleanup.policy"]["value"] == "compact"

    def test_only_what_is_missing_is_made(self, settings):
        create_topics(settings, [Topic("a", is_input=True)], partitions=2)
        states = create_topics(settings, [Topic("a", is_input=True), Topic("b", is_input=True)], partitions=2)
        assert [(s.name, s.created, s.partitions) for s in states] == [("a", False, 2), ("b", True, 2)]

    def test_inputs_with_unequal_partition_counts_are_refused_with_the_counts(self, settings):
        create_topics(settings, [Topic("a", is_input=True)], partitions=2)
        with pytest.raises(ShellError, match="equal partition counts, found a 2, b 4"):
            create_topics(settings, [Topic("a", is_input=True), Topic("b", is_input=True)], partitions=4)

    def test_without_a_broker_one_line_says_where_it_was_sought(self, tmp_path):
        with pytest.raises(ServerError, match=r"no Kafka broker answers at 127\.0\.0\.1:1; start one") as caught:
            create_topics(Settings(broker=NOBODY, home=tmp_path))
        assert caught.value.exit_code == 3

    def test_the_command_makes_the_topics_of_further_streams_too(self, m1cep, settings, tmp_path):
        file = tmp_path / "mine.sql"
        file.write_text(STREAM)
        done = m1cep("topics", "create", "--streams", file, "--partitions", 3, "--json", M1CEP_BROKER=settings.broker)
        assert done.returncode == 0, done.stderr
        made = {line["topic"]: line for line in lines(done.stdout)}
        assert set(made) == {t.name for t in BUILT_IN} | {"acme.transfers.v1"}
        assert made["acme.transfers.v1"] == {"topic": "acme.transfers.v1", "partitions": 3, "created": True}
        again = m1cep("topics", "create", M1CEP_BROKER=settings.broker)
        assert again.stdout == f"0 topics created, {len(BUILT_IN)} already there\n"


class TestList:
    def test_partitions_and_records_are_counted(self, settings, produce):
        create_topics(settings, [Topic("full"), Topic("empty")], partitions=2)
        produce("full", *[(str(n).encode(), b"{}", []) for n in range(5)])
        assert {(s.name, s.partitions, s.records) for s in list_topics(settings)} == {("empty", 2, 0), ("full", 2, 5)}

    def test_a_broker_without_topics_is_no_error(self, m1cep, settings):
        assert list_topics(settings) == []
        done = m1cep("topics", "list", M1CEP_BROKER=settings.broker)
        assert (done.returncode, done.stdout) == (0, "The broker has no topics; `m1cep topics create` makes them.\n")

    def test_no_broker_is_exit_code_3_and_one_line(self, m1cep):
        done = m1cep("topics", "list", "--json", M1CEP_BROKER=NOBODY)
        assert (done.returncode, done.stdout) == (3, "")
        assert "no Kafka broker answers at 127.0.0.1:1" in done.stderr
        assert "Traceback" not in done.stderr


class TestTail:
    RECORDS = (
        (
            b"acc-1",
            b'{"price": "64000.5", "note": "\xc3\xa9"}',
            [("ce_id", b"e-1"), ("content-type", b"application/json")],
        ),
        (None, b"not json \xff", []),
        (b"acc-2", None, []),
    )

    def test_json_has_key_headers_and_value_and_keeps_what_is_no_json(self, m1cep, settings, produce):
        produce("t", *self.RECORDS, partition=0)
        done = m1cep("topics", "tail", "t", "--from-beginning", "--max", 3, "--json", M1CEP_BROKER=settings.broker)
        assert done.returncode == 0, done.stderr
        first, second, third = lines(done.stdout)
        assert first["key"] == "acc-1"
        assert first["headers"] == {"ce_id": "e-1", "content-type": "application/json"}
        assert first["value"] == {"price": "64000.5", "note": "\u00e9"}
        assert (second["key"], second["text"]) == (None, "not json \\xff")
        assert "value" not in second
        assert (third["key"], third["value"]) == ("acc-2", None)
        assert [r["offset"] for r in (first, second, third)] == [0, 1, 2]

    def test_records_cannot_steer_the_terminal(self, m1cep, settings, produce):
        produce("t", (b"k\x1b[2J", '{"a": "\x9b31m"}'.encode(), [("h", b"\x1b]0;x\x07")]))
        done = m1cep("topics", "tail", "t", "--from-beginning", "--max", 1, M1CEP_BROKER=settings.broker)
        assert done.returncode == 0, done.stderr
        assert all(c.isprintable() for c in done.stdout.replace("\n", ""))
        assert "k\\x1b[2J" in done.stdout

    def test_without_from_beginning_it_waits_for_new_records_until_ctrl_c(self, start_m1cep, settings, produce):
        produce("t", (None, b'"old"', []))
        process = start_m1cep("topics", "tail", "t", "--json", M1CEP_BROKER=settings.broker)
        assert "from the end" in process.stderr.readline()
        produce("t", (None, b'"new"', []))
        assert json.loads(process.stdout.readline())["value"] == "new"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, "")

    def test_a_reader_that_has_enough_ends_it_quietly(self, start_m1cep, settings, produce):
        produce("t", *[(None, b'"%d"' % n, []) for n in range(10)], partition=0)
        process = start_m1cep("topics", "tail", "t", "--from-beginning", M1CEP_BROKER=settings.broker)
        process.stderr.readline()
        process.stdout.readline()
        process.stdout.close()
        produce("t", *[(None, b'"more"', [])] * 2)
        assert process.wait(120) == 0
        assert process.stderr.read() == ""

    def test_a_topic_that_is_not_there_is_not_made(self, m1cep, settings, own_broker):
        create_topics(settings, [Topic("m1cep.alerts.v1")])
        done = m1cep("topics", "tail", "m1cep.alert.v1", M1CEP_BROKER=settings.broker)
        assert done.returncode == 2
        assert "no topic 'm1cep.alert.v1'; did you mean m1cep.alerts.v1?" in done.stderr
        admin = KafkaAdminClient(bootstrap_servers=own_broker.address)
        assert [name for name in admin.list_topics() if not name.startswith("__")] == ["m1cep.alerts.v1"]
        admin.close()

    def test_a_broker_that_is_lost_ends_it_with_exit_code_3(self, start_m1cep, settings, own_broker, produce):
        produce("t", (None, b"1", []))
        process = start_m1cep("topics", "tail", "t", M1CEP_BROKER=settings.broker)
        process.stderr.readline()
        own_broker.stop()
        _, err = process.communicate(timeout=120)
        assert process.returncode == 3
        assert f"no Kafka broker answers at {settings.broker}" in err
        assert "Traceback" not in err
