"""The schemas of topics: published meta-schemas, what is committed, and what the code really writes."""

import copy
import gzip
import json
from pathlib import Path

import jsonschema
import msgspec
import orjson
import pytest
import yaml
from custodians import Custodians
from custodyoffice import Office
from gridlogs import Topics
from schemaworld import SCHEMAS, check
from typer.testing import CliRunner

from m1cep import Alert, Late, parse_streams
from m1cep.alert_states import AlertState, Closing, State
from streams import codec
from streams.agents.stats import AgentStats, RuleStats
from streams.agents.vitals import Vitals
from streams.alerts.desk import state_message
from streams.cli import app
from streams.custody import asks
from streams.files import load_rules, load_streams
from streams.notify.letters import undelivered
from streams.notify.queue import Dead, Delivery
from streams.rules.record import Entry, following
from streams.schemas import channels, compare
from streams.schemas.compatible import breaks
from streams.schemas.document import file_name
from streams.status import status_of
from streams.topic_table import BUILT_IN

ROOT = Path(__file__).parents[3]
META = json.loads(gzip.decompress((ROOT / "tests/published/asyncapi/3.0.0.json.gz").read_bytes()))
EVERY = {one.address: one for one in channels()}
DOCUMENT = yaml.safe_load((ROOT / "docs/asyncapi.yaml").read_text())


class TestDocuments:
    def test_the_asyncapi_document_fits_the_published_schema(self):
        jsonschema.Draft7Validator(META).validate(DOCUMENT)

    def test_a_document_that_is_none_does_not_fit_it(self):
        broken = copy.deepcopy(DOCUMENT)
        broken["operations"]["send.m1cep-alerts-v1"]["action"] = "shout"
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft7Validator(META).validate(broken)

    @pytest.mark.parametrize("topic", SCHEMAS)
    def test_every_schema_is_json_schema_and_its_references_are_there(self, topic):
        schema = SCHEMAS[topic]
        jsonschema.Draft202012Validator.check_schema(schema)
        for reference in set(_references(schema)):
            assert reference.removeprefix("#/$defs/") in schema["$defs"]

    def test_every_reference_of_the_document_leads_to_a_definition(self):
        payloads = [m["payload"] for c in DOCUMENT["channels"].values() for m in c["messages"].values()]
        for payload in payloads:
            if "$ref" in payload:
                file, _, name = payload["$ref"].partition("#/$defs/")
                assert name in json.loads((ROOT / "docs" / file).read_text())["$defs"]

    def test_every_built_in_topic_is_a_channel_with_its_key(self):
        found = {c["address"]: c for c in DOCUMENT["channels"].values()}
        for topic in BUILT_IN:
            messages = found[topic.name]["messages"].values()
            assert all(
                m.get("bindings", {}).get("kafka", {}).get("key", {}).get("description", "") == topic.key
                for m in messages
            )

    def test_examples_of_the_document_fit(self):
        shown = 0
        for channel in DOCUMENT["channels"].values():
            for message in channel["messages"].values():
                for example in message.get("examples", []):
                    check(channel["address"], json.dumps(example["payload"]))
                    if "headers" in example:
                        trait = DOCUMENT["components"]["messageTraits"]["cloudEvent"]["headers"]
                        jsonschema.validate(example["headers"], trait)
                        assert example["headers"]["ce_type"] == message["x-ce-type"]
                    shown += 1
        assert shown >= 10


class TestCommitted:
    def test_what_is_committed_is_what_the_code_says(self):
        comparison = compare(ROOT / "docs", EVERY.values())
        assert comparison.broken == [], "an incompatible change: give the topic a new version"
        assert comparison.stale == [], "run `m1cep schemas`"

    def test_the_command_writes_all_of_it_and_says_when_it_is_old(self, tmp_path):
        run = CliRunner().invoke
        assert run(app, ["schemas", "--out", str(tmp_path), "--check"]).exit_code != 0
        assert run(app, ["schemas", "--out", str(tmp_path), "--json"]).exit_code == 0
        assert run(app, ["schemas", "--out", str(tmp_path), "--check"]).exit_code == 0
        for path in (ROOT / "docs/schemas").iterdir():
            assert (tmp_path / "schemas" / path.name).read_text() == path.read_text()

    def test_the_command_refuses_to_replace_what_others_rely_on(self, tmp_path):
        run = CliRunner().invoke
        run(app, ["schemas", "--out", str(tmp_path)])
        file = tmp_path / "schemas" / file_name(EVERY["m1cep.alerts.v1"])
        older = json.loads(file.read_text())
        older["$defs"]["Alert"]["properties"]["score"] = {"type": "number"}
        file.write_text(json.dumps(older))
        refused = run(app, ["schemas", "--out", str(tmp_path)])
        assert "score: was removed" in str(refused.exception)
        assert json.loads(file.read_text()) == older
        assert run(app, ["schemas", "--out", str(tmp_path), "--breaking"]).exit_code == 0

    def test_streams_of_a_user_are_in_it(self, tmp_path):
        ddl = tmp_path / "mine.sql"
        ddl.write_text(
            "CREATE TABLE trips (id STRING NOT NULL, -- of the trip\n  stops ARRAY<ROW<at BIGINT, name STRING>>, "
            "paid DECIMAL(10,2), ok BOOLEAN, tags MAP<STRING, INT>, ts TIMESTAMP(6) NOT NULL, WATERMARK FOR ts AS ts) "
            "PARTITIONED BY (id) WITH ('topic' = 'trips.v1')"
        )
        done = CliRunner().invoke(app, ["schemas", "--out", str(tmp_path), "--streams", str(ddl)])
        assert done.exit_code == 0, done.exception
        schema = json.loads((tmp_path / "schemas/trips.v1.json").read_text())
        good = {"id": "a", "stops": [{"at": 1, "name": None}], "paid": "1.50", "tags": {"x": 1}, "ts": 5, "more": 1}
        jsonschema.validate(good, schema)
        assert schema["$defs"]["TripsEvent"]["properties"]["id"]["description"] == "of the trip"
        stream = parse_streams(ddl.read_text())["trips"]
        for change in ({"stops": 1}, {"paid": "much"}, {"ok": "perhaps"}, {"tags": {"x": 1.5}}, {"ts": None}):
            bad = good | change
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate(bad, schema)
            assert stream.decode_many([json.dumps(bad).encode()])[1], (
                f"the engine takes what the schema refuses: {change}"
            )


class TestCompatible:
    BEFORE = SCHEMAS["m1cep.alerts.v1"]

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda a: a["required"].append("lists"), "lists is required and was not"),
            (lambda a: a["required"].remove("row"), "row was required and is not"),
            (lambda a: a["properties"]["event_time"].update(type="string"), "was integer, is string"),
            (lambda a: a["properties"].pop("events"), "events: was removed"),
            (lambda a: a["properties"]["severity"]["enum"].remove("low"), "low was possible"),
        ],
    )
    def test_what_breaks_others_is_found(self, change, said):
        now = copy.deepcopy(self.BEFORE)
        change(now["$defs"]["Alert"])
        assert said in " ".join(breaks(self.BEFORE, now))

    @pytest.mark.parametrize(
        "change",
        [
            lambda a: a["properties"].update(score={"type": "number"}),
            lambda a: a["properties"]["row"].update(description="other words"),
            lambda a: a["properties"]["severity"]["enum"].append("fatal"),
        ],
    )
    def test_what_breaks_nobody_is_allowed(self, change):
        now = copy.deepcopy(self.BEFORE)
        change(now["$defs"]["Alert"])
        assert breaks(self.BEFORE, now) == []

    def test_a_further_kind_of_message_is_allowed_and_one_less_is_not(self):
        before = SCHEMAS["m1cep.actions.v1"]
        fewer = {**before, **before["anyOf"][0]}
        fewer.pop("anyOf")
        one = {**before, "anyOf": before["anyOf"][:1]}
        assert breaks(one, before) == []
        assert breaks(before, one)
        assert breaks(before, fewer)


class TestRealRecords:
    def test_golden_events_and_alerts_fit(self):
        streams = load_streams()
        alerts = events = 0
        for folder in sorted((ROOT / "tests/golden").iterdir()):
            if not (folder / "alerts.json").is_file():
                continue
            for alert in _objects((folder / "alerts.json").read_text()):
                check(codec.ALERTS, json.dumps(alert))
                alerts += 1
            for line in (folder / "fires.ndjson").read_text().splitlines()[:20]:
                found = json.loads(line)
                check(streams[found["stream"]].topic, json.dumps(found["event"]))
                events += 1
        assert alerts > 50 < events

    def test_dead_letters_late_events_actions_and_their_headers_fit(self):
        at = codec.Source("m1cep.orders.v1", 1, 7, 1_700_000_000_000, b"a", None)
        late = Late("orders", 0, None, 5, 9, "late")
        alert = Alert("1" * 32, "r", "high", {"account": "a"}, {"n": 1}, 5, ["e"], {"l": "1"}, {"p": "2"})
        huge = Alert("2" * 32, "r", "high", {"account": "a"}, {"n": "x" * 2_000_000}, 5, ["e"])
        rows = [
            codec.dead_letter(at, "bad", "/t"),
            codec.dead_letter(at._replace(value=b"\xff", key=None, timestamp=None), "bad", "/t", column="qty"),
            codec.late_event(at._replace(value=b"{}"), late, "/t"),
            codec.alert_message(alert, 5, "/t"),
            codec.alert_message(huge, 5, "/t"),
            codec.action_message(alert, "freeze_account", 5, "/t"),
        ]
        for message in rows:
            check(message.topic, message.value)
            headers = DOCUMENT["components"]["messageTraits"]["cloudEvent"]["headers"]
            jsonschema.validate({name: text.decode() for name, text in message.headers}, headers)
        assert {message.topic for message in rows} == {codec.ALERTS, codec.ACTIONS, codec.DEAD_LETTERS, codec.LATE}

    def test_what_people_decide_about_rules_and_alerts_fits(self):
        first = following(None, Entry(rule="r", version="v1", text="SELECT 1", mode="active", by="ann", time_ms=1))
        second = following(first, Entry(rule="r", version="v1", text=None, mode="disabled", by="bob", time_ms=2))
        proposed = following(
            second,
            Entry(rule="r", version="v2", text="", mode="proposed", proposed_mode="shadow", by="ann", time_ms=3),
        )
        for record in (first, second, proposed):
            check("m1cep.rules.v1", record.to_json())
        state = AlertState(
            "1" * 32, "r", {"account": "a"}, State.CLOSED, "ann", 5, "seen to", (Closing("ann", 5, "ab"),)
        )
        for one in (state, msgspec.structs.replace(state, signed=(), state=State.OPEN)):
            message = state_message(one)
            check(message.topic, message.value)

    def test_an_alert_that_could_not_be_sent_fits(self):
        value = Alert("1" * 32, "r", "high", {"account": "a"}, {}, 5, []).to_json()
        letter = undelivered("pager", Dead(Delivery("1" * 32, "alert", value, 5, 2, 17, 9), "it answers 500"))
        check(letter.topic, letter.value)
        one = SCHEMAS[codec.DEAD_LETTERS]
        jsonschema.validate(json.loads(letter.value), one | {"anyOf": [{"$ref": "#/$defs/Undelivered"}]})

    def test_the_status_of_a_worker_fits(self):
        stats = AgentStats()
        stats.rules["r"] = RuleStats("r", "v1", "high", mode="quarantined", reason="it divides by zero")
        stats.watermark_lag_ms = {"m1cep.orders.v1/0": 120}
        idle = status_of(Vitals("m1cep", {}), ready=False, events_per_s=0, now_ms=1)
        busy = status_of(Vitals("m1cep", {"risk": stats}), ready=True, events_per_s=20_000.5, now_ms=2)
        for status in (
            idle,
            busy,
            busy | {"alert_latency_ms": stats.latency.recent_ms() or {"p50": 1, "p99": 2, "count": 1}},
        ):
            check(codec.STATUS, orjson.dumps(status))

    def test_all_that_grids_and_their_exchange_write_fits(self):
        topics = Topics(3)
        topics.start("one")
        for _ in range(600):
            topics.step()
        topics.settle(5)
        kinds = set()
        for (topic, _), records in topics.topics.items():
            if topic != "m1cep.paper-log.v1":
                kinds |= {(topic, check(topic, record.value)) for record in records if record.value}
        assert {topic for topic, _ in kinds} >= {
            "m1cep.order-commands.v1", "m1cep.grid-log.v1", "m1cep.grids.v1", "m1cep.fills.v1", "m1cep.market.v1"
        }  # fmt: skip
        assert {kind for topic, kind in kinds if topic == "m1cep.grid-log.v1"} >= {"start", "accepted", "fill", "tick"}

    def test_every_letter_of_custody_fits(self, tmp_path):
        office = Office(tmp_path, ("solana",), audit=True)
        try:
            office.list_destination("solana")
            office.desk_ask(asks.encode(asks.AskFunds("fund", "alice-solana", "5")))
            office.pass_time(8_000)
            office.until(office.ask("solana"), "confirmed")
            office.pass_time(8_000)
            seen = {(t, check(t, r.value)) for t, records in office.topics.items() for r in records if r.value}
        finally:
            office.close()
        assert {about for _, about in seen} >= {"request", "desk", "fact", "books", "audit", "log", "head", "standing"}

    def test_every_letter_of_a_ceremony_fits(self, tmp_path):
        world = Custodians(tmp_path, signers=3, threshold=2, vaults=("sol",))
        world.new_key("sol")
        topics = {message.topic for message in world.log if check(message.topic, message.value) == "ceremony"}
        assert topics == {"m1cep.custody.rounds.v1", *(f"m1cep.custody.signer-{n}.v1" for n in (1, 2, 3))}


def test_a_rule_that_asks_for_an_action_asks_for_one_that_the_schema_names():
    allowed = SCHEMAS[codec.ACTIONS]["$defs"]["Action"]["properties"]["action"]["enum"]
    asked = {rule.action for rule in load_rules(None, load_streams()) if rule.action not in {"", "alert"}}
    assert asked
    assert asked <= set(allowed)


def _references(schema):
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "$ref":
                yield value
            yield from _references(value)
    elif isinstance(schema, list):
        for one in schema:
            yield from _references(one)


def _objects(text):
    """JSON objects one after another."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text.rstrip()):
        found, at = decoder.raw_decode(text, at)
        while at < len(text) and text[at].isspace():
            at += 1
        yield from found if isinstance(found, list) else [found]
