"""TLS, users and grants on Apache Kafka: who is let in, who is not, what is said then, and what is never said."""

import base64
import json
import ssl
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from custodyhouse import CHAINS, House
from custodyoffice import Office
from grid_spec import SPEC
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ACLOperation
from kafka.errors import TopicAuthorizationFailedError
from topics_read import read_topic

from apache_kafka import grants
from m1cep.custody.policy.events import DestinationListed
from m1cep.grid import wire
from m1cep.grid.orders import Side
from streams import codec
from streams.config import load_settings
from streams.custody.mail import RELEASES, REQUESTS, ROUNDS, signer_topic
from streams.custody.strongbox import WEAK
from streams.embedded.ports import any_free_port
from streams.topic_table import BUILT_IN, Topic, topics_of_signers
from streams.topics import create_topics

pytestmark = [pytest.mark.broker, pytest.mark.kafka_only]

ALERTS = "m1cep.alerts.v1"
START_MS = 1_700_000_000_000
BIG = "SELECT account, qty FROM orders WHERE qty > 100"


@pytest.fixture
def server(secure_kafka, users):
    """The broker with all topics and the grants of docs/security.md."""
    secure_kafka.clear()
    create_topics(load_settings(broker=secure_kafka.address))
    grants.grant(secure_kafka.address, [acl for user in users for acl in grants.of_role(user)])
    return secure_kafka


@pytest.fixture
def as_user(secure_kafka, users):
    """The settings of a user: ``as_user("worker")``, with what differs by keyword."""

    def env(name, **more):
        access = {"TLS_CA": str(secure_kafka.certificates.ca), "SASL": "SCRAM-SHA-512", "SASL_USER": name}
        access |= {"BROKER": secure_kafka.at("SASL_SSL"), "SASL_PASSWORD": users[name]}
        return {f"M1CEP_{key}": str(value) for key, value in (access | more).items() if value is not None}

    return env


@pytest.fixture
def rules(tmp_path):
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "big.sql").write_text(BIG)
    return folder


@pytest.fixture
def orders(tmp_path):
    """A file of orders, every tenth of which is big."""
    file = tmp_path / "orders.ndjson"
    base = {"symbol": "BTC-USD", "action": "new", "side": "buy", "price": 64_000.5}
    lines = [
        base
        | {"event_id": f"o{n}", "account": f"a{n % 5}", "order_id": f"r{n}", "ts": START_MS + n * 1000}
        | {"qty": 101.0 if n % 10 == 0 else 1.0}
        for n in range(100)
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


@pytest.fixture
def worker(start_m1cep, rules, tmp_path, eventually):
    """Starts a worker with the settings given and waits until it is ready."""

    def start(env, *arguments, wait=True, stderr=subprocess.PIPE, whole=False):
        stats = tmp_path / "stats.json"
        options = ("--rules", rules, "--stats-file", stats, "--stats-every-ms", 50, "--session-timeout", 2)
        process = start_m1cep("worker", *options, *arguments, stderr=stderr, whole=whole, **env)

        def ready():
            assert process.poll() is None, process.communicate()[1]
            return stats.exists() and json.loads(stats.read_text())["agents"]["risk"]["ready"]

        if wait:
            eventually(ready, 60)
        return process

    return start


def ended(process):
    process.terminate()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return err


def unsigned_token(subject):
    """A token that Kafka takes when it has no validator of its own."""
    now = time.time()
    parts = ({"alg": "none"}, {"sub": subject, "iat": now, "exp": now + 3600})
    return ".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts) + "."


def test_each_role_does_its_work_over_tls_with_its_own_grants_alone(server, as_user, m1cep, orders, worker):
    made = m1cep("topics", "create", **as_user("admin"))
    assert (made.returncode, made.stdout) == (0, f"0 topics created, {len(BUILT_IN)} already there\n"), made.stderr
    sent = m1cep("produce", "--stream", "orders", "--file", orders, **as_user("producer"))
    assert sent.returncode == 0, sent.stderr
    running = worker(as_user("worker"))
    read = m1cep("topics", "tail", ALERTS, "--from-beginning", "--max", 10, "--json", **as_user("reader"))
    assert read.returncode == 0, read.stderr
    alerts = [json.loads(line)["value"] for line in read.stdout.splitlines()]
    assert sorted(a["events"][0] for a in alerts) == sorted(f"o{n}" for n in range(0, 100, 10))
    ended(running)
    consumer = KafkaConsumer(bootstrap_servers=server.address, group_id="m1cep-risk")
    committed = [consumer.committed(TopicPartition("m1cep.orders.v1", p)) for p in range(4)]
    consumer.close(autocommit=False)
    assert sum(offset or 0 for offset in committed) == 100
    listed = m1cep("topics", "list", "--json", **as_user("admin"))
    counts = {row["topic"]: row["records"] for row in map(json.loads, listed.stdout.splitlines())}
    assert (counts["m1cep.orders.v1"], counts[ALERTS]) == (100, 10)


@pytest.mark.usefixtures("server")
def test_grids_run_with_the_grants_of_operator_grids_and_exchange(as_user, m1cep, start_m1cep, tmp_path, eventually):
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(wire.spec_plain(SPEC)))
    for agent, user in (("grid", "grids"), ("paper_exchange", "exchange")):
        stats = tmp_path / f"{agent}.json"
        options = ("--agents", agent, "--stats-file", stats, "--stats-every-ms", 50, "--session-timeout", 2)
        process = start_m1cep("worker", *options, **as_user(user))

        def ready(process=process, stats=stats):
            assert process.poll() is None, process.communicate()[1]
            return stats.exists() and json.loads(stats.read_text())["ready"]

        eventually(ready, 40)
    started = m1cep("grid", "start", "g", "--spec", spec, "--account", "a", **as_user("operator"))
    assert started.returncode == 0, started.stderr

    def live():
        shown = m1cep("grid", "status", "--json", **as_user("operator"))
        assert shown.returncode == 0, shown.stderr
        stands = json.loads(shown.stdout)
        return stands["state"] == "live" and stands["orders"] == 6

    assert eventually(live, 40)


def test_a_venue_runs_with_its_grants(server, as_user, m1cep, start_m1cep, tmp_path, eventually):
    pytest.importorskip("ccxt", reason="the extra ccxt is not installed")
    from binance_stand_in import KEY, LOTS, MARKET, SECRET, Threaded

    spec = tmp_path / "spec.json"
    rung = replace(SPEC.up[0], lots=LOTS, ticks=20_000)
    spec.write_text(json.dumps(wire.spec_plain(replace(SPEC, market=MARKET, up=(rung,), down=(rung,), retries=20))))
    venue = Threaded()
    try:
        access = {"": "binance", "_ACCOUNT": "a", "_KEY": KEY, "_SECRET": SECRET, "_SETTLE_S": "2"}
        access |= {"_URL": venue.server.url}
        env = {f"M1CEP_VENUE{name}": value for name, value in access.items()}
        for agent, settings in (("grid", as_user("grids")), ("venue", as_user("venue") | env)):
            start_m1cep("worker", "--agents", agent, "--session-timeout", 2, **settings)
        options = ("--spec", spec, "--account", "a", "--venue", "binance")
        assert m1cep("grid", "start", "g", *options, **as_user("operator")).returncode == 0
        eventually(lambda: len(venue.open()) == 2, 40)
        venue.take(Side.BUY, SPEC.centre_ticks + 20_000)
        eventually(lambda: read_topic(server.address, "m1cep.fills.v1"), 20)
    finally:
        venue.close()


@pytest.mark.usefixtures("server")
def test_ledger_pretrade_and_results_run_with_their_grants(as_user, m1cep, start_m1cep, postgres, tmp_path, eventually):
    pytest.importorskip("grpc", reason="the extra rpc is not installed")
    from ledgerhouse import Database, account_event

    stats = {name: tmp_path / f"{name}.json" for name in ("ledger", "pretrade", "results")}
    started = {}

    def said(name):
        assert started[name].poll() is None, started[name].communicate()[1]
        return json.loads(stats[name].read_text())["agents"][name] if stats[name].exists() else {}

    more = {  # results can begin without its cache
        "ledger": {"M1CEP_DB_WRITE_URL": Database(postgres).env["M1CEP_DB_WRITE_URL"]},
        "pretrade": {"M1CEP_RPC_PORT": str(any_free_port())},
        "results": {"M1CEP_CACHE_URL": f"redis://127.0.0.1:{any_free_port()}"},
    }
    for name, env in more.items():
        options = ("--agents", name, "--stats-file", stats[name], "--stats-every-ms", 50, "--session-timeout", 2)
        started[name] = start_m1cep("worker", *options, **as_user(name), **env)
    for name in more:
        eventually(lambda name=name: said(name).get("ready"), 60)
    odd = tmp_path / "odd.ndjson"
    odd.write_text(json.dumps(account_event(1, "deposit", asset="GOLD")) + "\n")
    assert m1cep("produce", "--stream", "accounts", "--file", odd, **as_user("producer")).returncode == 0
    lifted = m1cep("pretrade", "lift", "alice", "alert-1", "--by", "ann", **as_user("lifter"))
    assert lifted.returncode == 0, lifted.stderr
    eventually(lambda: said("ledger")["dead_letters"] == 1, 30)
    for name in ("pretrade", "results"):
        eventually(lambda name=name: said(name)["events"] == 2, 30)
    refused = m1cep("pretrade", "lift", "alice", "alert-1", "--by", "ann", **as_user("pretrade"))
    assert refused.returncode == 3


@pytest.mark.usefixtures("server")
def test_alerts_are_closed_and_sent_with_the_grants_of_closer_and_notify(
    as_user, m1cep, start_m1cep, server, users, tmp_path, eventually
):
    from notifyworld import alert, targets_file

    path = targets_file(
        tmp_path, f'[targets.a]\nkind = "webhook"\nurl = "http://127.0.0.1:{any_free_port()}/"\nqueue = 1\n'
    )
    stats = tmp_path / "notify.json"
    options = ("--agents", "notify", "--targets", path, "--stats-file", stats, "--stats-every-ms", 50)
    process = start_m1cep("worker", *options, **as_user("notify"))

    def said():
        assert process.poll() is None, process.communicate()[1]
        return json.loads(stats.read_text())["agents"]["notify"] if stats.exists() else {}

    eventually(lambda: said().get("ready"), 60)
    for name in ("a1", "a2"):
        about = codec.Message(codec.ALERTS, b"ann", json.dumps(alert(name)).encode(), [])
        send_as(server, users, "worker", about)
    eventually(lambda: said()["dead_letters"] == 1, 30)  # there is room for one
    done = m1cep("notify", "redeliver", "--dry-run", "--targets", path, **as_user("notify"))
    assert (done.returncode, "a: a1: would be sent; alert" in done.stdout) == (0, True), done.stderr
    assert m1cep("alerts", "close", "a1", **as_user("closer")).returncode == 0
    assert '"state":"closed"' in m1cep("alerts", "list", "--state", "closed", "--json", **as_user("closer")).stdout
    assert m1cep("alerts", "close", "a2", **as_user("notify")).returncode == 3


def client_of(server, users, user):
    """Settings of a Kafka client of kafka-python, for a user."""
    return {
        "bootstrap_servers": server.at("SASL_SSL"),
        "security_protocol": "SASL_SSL",
        "ssl_context": ssl.create_default_context(cafile=str(server.certificates.ca)),
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": user,
        "sasl_plain_password": users[user],
    }


def send_as(server, users, user, *messages):
    producer = KafkaProducer(**client_of(server, users, user), acks="all", enable_idempotence=False)
    try:
        for message in messages:
            producer.send(message.topic, message.value, key=message.key, headers=message.headers).get(20)
    finally:
        producer.close(timeout=1)


def test_custody_runs_with_the_grants_of_signers_coordinator_requester_and_facts(
    server, users, as_user, m1cep, start_m1cep, tmp_path, eventually
):
    """Each process, person and source of facts as a user of its own, from the key to the release."""
    house = House(tmp_path / "house", ("solana",), signers=2, strength=WEAK)
    create_topics(load_settings(broker=server.address), topics_of_signers(house.numbers))
    for user, options in (("coordinator", house.coordinator()), *((f"signer-{n}", house.signer(n)) for n in (1, 2))):
        stats = tmp_path / f"{user}.json"
        env = as_user(user) | {"M1CEP_SIGNER_PASSPHRASE_FILE": str(house.passphrase)}
        log = (tmp_path / f"log-{user}").open("w")
        process = start_m1cep("worker", *options, "--stats-file", stats, "--stats-every-ms", 50, stderr=log, **env)

        def ready(process=process, stats=stats, log=log):
            assert process.poll() is None, Path(log.name).read_text()
            return stats.exists() and json.loads(stats.read_text())["ready"]

        eventually(ready, 60)

    def custody(*arguments, by):
        done = m1cep("custody", *arguments, *house.person(by), **as_user("requester"))
        assert done.returncode == 0, done.stderr
        return done.stdout

    custody("keygen", "alice-solana", by="bob")
    custody("fund", "alice-solana", "5", by="bob")
    to = Office.stranger(None, "solana")
    listed = msgspec.json.encode(DestinationListed("listed", "alice", CHAINS["solana"], to, True, 1)).decode()
    send_as(server, users, "facts", house.pen("operations").write(ROUNDS, "facts", "fact", listed))
    said = custody("request", "alice-solana", to, "0.1", "--id", "w-1", "--wait", "60", "--json", by="shop")
    assert json.loads(said)["state"] == "confirmed", said

    copied = {
        user: m1cep("custody", "audit-copy", tmp_path / user, "--custody", house.roster, **as_user(user))
        for user in ("auditor", "requester")
    }
    assert copied["auditor"].returncode == 0, copied["auditor"].stderr
    assert "the log ends at entry 0" in copied["requester"].stderr, "what one may not read is not there"

    letter = house.pen("shop").write(REQUESTS, "w-2", "request", "{}")
    for user, topic in (("requester", ROUNDS), ("requester", RELEASES), ("facts", REQUESTS), ("facts", RELEASES)):
        with pytest.raises(TopicAuthorizationFailedError):
            send_as(server, users, user, letter._replace(topic=topic))
    for user, topic in (
        ("facts", ROUNDS),
        ("requester", REQUESTS),
        ("requester", signer_topic(1)),
        ("facts", signer_topic(1)),
        ("coordinator", signer_topic(1)),
        ("signer-2", signer_topic(1)),
    ):
        values, answer = TestGrants().read(server, users, user, topic)
        assert (values, answer) == ([], TopicAuthorizationFailedError.errno), (user, topic)


@pytest.mark.parametrize("way", ["SCRAM-SHA-256", "PLAIN", "password file", "token", "client certificate"])
def test_every_way_to_log_in_works_for_both_client_libraries(
    server, as_user, m1cep, orders, worker, users, way, tmp_path
):
    secret = tmp_path / "secret"

    def env(role):
        if way == "password file":
            secret.write_text(users[role] + "\n")
            return as_user(role, SASL_PASSWORD=None, SASL_PASSWORD_FILE=secret)
        if way == "token":
            secret.write_text(unsigned_token(role))
            return as_user(role, SASL="OAUTHBEARER", SASL_USER=None, SASL_PASSWORD=None, SASL_TOKEN_FILE=secret)
        if way == "client certificate":
            certificate, key = server.certificates.of(role)
            files = {"TLS_CERT": certificate, "TLS_KEY": key, "BROKER": server.at("SSL")}
            return as_user(role, SASL=None, SASL_USER=None, SASL_PASSWORD=None, **files)
        return as_user(role, SASL=way)

    sent = m1cep("produce", "--stream", "orders", "--file", orders, **env("producer"))
    assert sent.returncode == 0, sent.stderr
    running = worker(env("worker"))
    ended(running)


COMMANDS = {
    "worker": ("worker", "--rules", "rules"),
    "produce": ("produce", "--stream", "orders", "--file", "orders.ndjson"),
    "topics": ("topics", "list"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("password", "refuses user 'worker' with SCRAM-SHA-512: "),
        ("authority", "is not trusted: unable to get local issuer certificate; M1CEP_TLS_CA names"),
        ("plain port", "ends the connection during the TLS or SASL handshake; is it a TLS listener?"),
        ("no tls", "ends the connection at the first request; is it a TLS listener?"),
        ("no certificate", "does it want a client certificate (M1CEP_TLS_CERT, M1CEP_TLS_KEY)"),
        ("token", "refuses the token with OAUTHBEARER"),
    ],
)
@pytest.mark.usefixtures("rules", "orders")
def test_a_refusal_is_one_line_that_says_which_and_exit_code_3(server, as_user, m1cep, command, what, said, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("no token at all")
    nobody = {"SASL": None, "SASL_USER": None, "SASL_PASSWORD": None}
    env = as_user(
        "worker",
        **{
            "password": {"SASL_PASSWORD": "a-wrong-password"},
            "authority": {"TLS_CA": server.certificates.strange_ca},
            "plain port": {"BROKER": server.address},
            "no tls": {**nobody, "TLS_CA": None},
            "no certificate": {**nobody, "BROKER": server.at("SSL")},
            "token": {**nobody, "SASL": "OAUTHBEARER", "SASL_TOKEN_FILE": secret},
        }[what],
    )
    done = m1cep(*COMMANDS[command], **env)
    assert done.returncode == 3, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("m1cep: ")
    assert said in last
    assert "Traceback" not in done.stderr
    assert "a-wrong-password" not in done.stderr
    assert "no token at all" not in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.usefixtures("rules", "orders")
def test_a_port_that_leads_to_another_machine_is_no_broker_on_this_one(secure_kafka, m1cep, command):
    done = m1cep(*COMMANDS[command], M1CEP_BROKER=secure_kafka.at("ELSEWHERE"))
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert "sends clients on to kafka.invalid:" in last
    assert "M1CEP_ALLOW_PLAINTEXT=true if the network between is trusted" in last
    assert "Traceback" not in done.stderr


class TestGrants:
    def read(self, server, users, user, topic):
        """What a user gets of a topic, and what the broker says to a request for it (0: nothing against it)."""
        client = client_of(server, users, user)
        admin = KafkaAdminClient(**client)
        (answer,) = admin.describe_topics([topic])
        admin.close()
        consumer = KafkaConsumer(**client, enable_auto_commit=False)
        consumer.assign([TopicPartition(topic, 0)])
        consumer.seek_to_beginning()
        wait_ms = (
            1_500 if answer["error_code"] else 60_000
        )  # nobody waits for what may be read: it comes, or is refused
        try:
            values = [record.value for records in consumer.poll(wait_ms).values() for record in records]
        except TopicAuthorizationFailedError:  # it may know of the topic, as it writes there, and not read it
            return [], TopicAuthorizationFailedError.errno
        finally:
            consumer.close()
        return values, answer["error_code"]

    def test_a_signer_reads_its_own_topic_and_not_anothers(self, server, users):
        names = ["m1cep.custody.signer-1.v1", "m1cep.custody.signer-2.v1"]
        create_topics(load_settings(broker=server.address), [Topic(name, partitions=1) for name in names])
        producer = KafkaProducer(bootstrap_servers=server.address)
        for name in names:
            producer.send(name, b"share").get(10)
        producer.close()
        denied = TopicAuthorizationFailedError.errno
        assert self.read(server, users, "signer-1", names[0]) == ([b"share"], 0)
        assert self.read(server, users, "signer-2", names[1]) == ([b"share"], 0)
        for user, topic in (("signer-1", names[1]), ("signer-2", names[0]), ("worker", names[0])):
            assert self.read(server, users, user, topic) == ([], denied)

    @pytest.mark.parametrize(
        "missing",
        [
            *("m1cep.orders.v1", "m1cep.alerts.v1", "m1cep-"),
            *(
                pytest.param(f"m1cep.{name}.v1", marks=pytest.mark.slow)
                for name in ("rules", "shadow-alerts", "actions", "late", "dead-letters")
            ),
        ],
    )
    def test_the_worker_has_no_grant_that_it_can_do_without(self, secure_kafka, as_user, worker, missing):
        """What it reads besides orders other rules read; what it cannot do ends it, with one line that names it."""
        secure_kafka.clear()
        create_topics(load_settings(broker=secure_kafka.address))
        acls = [a for a in grants.of_role("worker") if a.resource_pattern.resource_name != missing]
        grants.grant(secure_kafka.address, acls)
        process = worker(as_user("worker"), wait=False)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 3, err
        last = err.strip().splitlines()[-1]
        assert missing.removesuffix("-") in last
        assert "does not permit" in last
        assert "Traceback" not in err

    def test_a_worker_that_may_not_write_alerts_ends_and_when_it_may_none_is_missing(
        self, secure_kafka, as_user, m1cep, orders, worker
    ):
        secure_kafka.clear()
        create_topics(load_settings(broker=secure_kafka.address))
        acls = grants.of_role("producer") + grants.of_role("reader") + grants.of_role("worker")
        for acl in acls:
            if acl.resource_pattern.resource_name == ALERTS:
                acl.operation = ACLOperation.READ
        grants.grant(secure_kafka.address, acls)
        assert m1cep("produce", "--stream", "orders", "--file", orders, **as_user("producer")).returncode == 0
        process = worker(as_user("worker"), wait=False)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 3, err
        assert ALERTS in err.strip().splitlines()[-1]
        assert "Traceback" not in err
        grants.grant(secure_kafka.address, grants.of_role("worker"))
        running = worker(as_user("worker"))
        read = m1cep("topics", "tail", ALERTS, "--from-beginning", "--max", 10, "--json", **as_user("reader"))
        alerts = [json.loads(line)["value"]["events"][0] for line in read.stdout.splitlines()]
        assert sorted(alerts) == sorted(f"o{n}" for n in range(0, 100, 10))
        ended(running)

    @pytest.mark.parametrize(
        ("role", "arguments"),
        [
            ("worker", ("produce", "--stream", "orders", "--file", "orders.ndjson")),
            ("producer", ("topics", "tail", "m1cep.orders.v1", "--from-beginning", "--max", "1")),
            ("worker", ("topics", "create", "--streams", "mine.sql")),
        ],
    )
    @pytest.mark.usefixtures("server", "orders")
    def test_what_is_not_granted_is_refused_in_one_line(self, as_user, m1cep, role, arguments, tmp_path):
        (tmp_path / "mine.sql").write_text(
            "CREATE TABLE mine (event_id STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)\n"
            "  PARTITIONED BY (event_id) WITH ('topic' = 'm1cep.mine.v1')"
        )
        done = m1cep(*arguments, **as_user(role))
        assert done.returncode in (1, 3), done.stdout
        last = done.stderr.strip().splitlines()[-1]
        assert "uthoriz" in last
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", pytest.param("PLAIN", marks=pytest.mark.slow)])
@pytest.mark.usefixtures("server")
def test_no_password_in_logs_at_debug_or_on_the_command_line(as_user, worker, users, mechanism, tmp_path):
    log = tmp_path / "log"
    with log.open("w") as file:
        running = worker(as_user("worker", SASL=mechanism), "--log-level", "debug", stderr=file, whole=True)
        arguments = Path(f"/proc/{running.pid}/cmdline").read_bytes()
        ended(running)
    err = log.read_text()
    assert b"worker" in arguments
    assert "SaslAuthenticateRequest" in err, "the libraries' own lines are there, the login's among them"
    for text in (users["worker"], json.dumps(users["worker"])[1:-1], repr(users["worker"].encode())[2:-1]):
        assert text not in err
        assert text.encode() not in arguments
