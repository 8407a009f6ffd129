"""Signers as real processes on a broker: they make a key, one is killed, and they make its shares anew."""

import json
import secrets
import signal
import time

import pytest
from custodians import POLICY

from m1cep.custody.frost.hidden import Secret
from streams.config import load_settings
from streams.custody import watch
from streams.custody.keyfile import Keyfile
from streams.custody.mail import ROUNDS, Pen, open_letter, signer_topic
from streams.custody.roster import load_roster
from streams.custody.strongbox import WEAK
from streams.topic_table import BUILT_IN, Topic
from streams.topics import create_topics

pytestmark = pytest.mark.broker

NUMBERS = (1, 2, 3)


class Office:
    """Three signers and, by hand, a coordinator."""

    def __init__(self, folder, kafka, start_m1cep, eventually):
        self.folder, self.kafka, self.start_m1cep, self.eventually = folder, kafka, start_m1cep, eventually
        self.pen = Pen("coordinator", Secret(secrets.token_bytes(32)))
        keys = []
        for number in NUMBERS:
            with_key = Keyfile.create(folder / f"{number}.key", number, "open sesame", WEAK)
            keys.append(f'{number} = "{with_key.identity().verify_key.hex()}"')
            with_key.close()
        lines = ["[coordinator]", f'key = "{self.pen.verify_key.hex()}"', "[signers]", *keys]
        lines += ["[vaults.alice-sol]", 'chain = "solana:local"', 'account = "alice"', "signers = [1, 2, 3]"]
        (folder / "roster.toml").write_text("\n".join([*lines, "threshold = 2", ""]))
        (folder / "policy.yaml").write_text(POLICY)
        (folder / "pass").write_text("open sesame\n")
        self.roster = load_roster(folder / "roster.toml")
        own = [Topic(signer_topic(number), "vault", partitions=1) for number in NUMBERS]
        create_topics(load_settings(broker=kafka.address), [*BUILT_IN, *own])
        self.processes, self.heard = {}, 0

    def start(self, *numbers):
        stats = {}
        for number in numbers:
            stats[number] = self.folder / f"stats-{number}-{secrets.token_hex(4)}.json"
            options = ["--agents", "signer", "--signer", number, "--stats-file", stats[number], "--stats-every-ms", 50]
            files = [("custody", "roster.toml"), ("policy", "policy.yaml"), ("keyfile", f"{number}.key")]
            for name, file in files:
                options += [f"--{name}", self.folder / file]
            passphrase = {"M1CEP_SIGNER_PASSPHRASE_FILE": str(self.folder / "pass")}
            home = {"M1CEP_HOME": str(self.folder / f"home-{number}")}  # each is a user of its own
            self.processes[number] = self.start_m1cep(
                "worker", *options, M1CEP_BROKER=self.kafka.address, **passphrase, **home
            )
        for number in numbers:
            self.eventually(lambda number=number: self.ready(number, stats[number]), 40)

    def ready(self, number, stats):
        process = self.processes[number]
        assert process.poll() is None, process.communicate()[1]
        return stats.exists() and json.loads(stats.read_text())["agents"]["signer"]["ready"]

    def kill(self, number):
        self.processes[number].send_signal(signal.SIGKILL)
        self.processes[number].communicate()

    def ceremony(self, previous=None):
        name, until_ms = secrets.token_hex(32), time.time_ns() // 1_000_000 + 60_000
        start = watch.new_key(self.roster, "alice-sol", name, until_ms)
        if previous is not None:
            start = watch.same_key(self.roster, "alice-sol", previous, name, until_ms)
        going = watch.CeremonyWatch(start, self.roster)
        self.send(going)
        return going

    def send(self, going):
        for message in going.tick(time.time_ns() // 1_000_000, self.pen):
            self.kafka.producer.send(message.topic, key=message.key, value=message.value, headers=message.headers)
        self.kafka.producer.flush(10)

    def listen(self, going, until=None):
        def heard():
            for record in self.kafka.read(ROUNDS):
                letter = open_letter(record.value, self.roster.keys)
                if letter.about == "ceremony":
                    going.hear(letter)
            self.send(going)
            return going.ended if until is None else until()

        self.eventually(heard, 40)
        return going


@pytest.fixture
def office(kafka, tmp_path, start_m1cep, eventually):
    folder = tmp_path / "custody"
    folder.mkdir()
    return Office(folder, kafka, start_m1cep, eventually)


@pytest.mark.embedded_only("on Kafka custody runs in tests/faults and with its grants")
def test_three_processes_make_a_key_one_is_killed_and_they_make_its_shares_anew(office):
    office.start(*NUMBERS)
    made = office.listen(office.ceremony())
    assert made.public is not None, made.failed
    assert tuple(made.public.shares) == NUMBERS
    office.kill(2)
    going = office.ceremony(made.public)  # two deal, the third is away
    office.start(2)
    office.listen(going)
    assert going.public is not None, going.failed
    assert (going.public.group, going.public.epoch) == (made.public.group, 1)
    for number in NUMBERS:
        office.processes[number].send_signal(signal.SIGTERM)
        _, errors = office.processes[number].communicate(timeout=120)
        assert office.processes[number].returncode == 0, errors
        assert "open sesame" not in errors
        held = Keyfile.open(office.folder / f"{number}.key", "open sesame").held["alice-sol"]
        assert held.share.public == going.public


@pytest.mark.embedded_only("it is about the command")
def test_what_a_signer_cannot_start_with_is_said_in_one_line(office, m1cep):
    options = ["worker", "--agents", "signer", "--custody", office.folder / "roster.toml"]
    policy, keyfile = ["--policy", office.folder / "policy.yaml"], ["--keyfile", office.folder / "1.key"]
    more = {"M1CEP_BROKER": office.kafka.address}
    right = {"M1CEP_SIGNER_PASSPHRASE": "open sesame"}
    for arguments, variables, expected in (
        ([*options, *policy, "--signer", 1], right, "needs --signer, --custody, --policy and --keyfile"),
        ([*options, *policy, *keyfile, "--signer", 1], {}, "M1CEP_SIGNER_PASSPHRASE_FILE"),
        ([*options, *policy, *keyfile, "--signer", 2], right, "is of signer 1, not of signer 2"),
        ([*options, *policy, *keyfile, "--signer", 1], {"M1CEP_SIGNER_PASSPHRASE": "sesame"}, "passphrase is wrong"),
        (["worker", "--agents", "signer"], right, "needs --signer, --custody, --policy and --keyfile"),
    ):
        done = m1cep(*arguments, **more, **variables)
        assert expected in done.stderr
        assert done.returncode == 2
        assert "sesame" not in done.stderr
