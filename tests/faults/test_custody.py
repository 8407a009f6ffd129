"""Custody's processes killed at every step of a release; letters dropped, doubled, reordered and replayed from a former epoch."""

import random
from contextlib import nullcontext
from itertools import cycle
from pathlib import Path

import pytest
from custodyoffice import SOME
from faults.custody_cluster import COORDINATOR, Cluster
from kafka import KafkaProducer
from topics_read import read_topic

from apache_kafka import KafkaServer, Missing
from m1cep.custody.requests import State
from streams.custody.mail import RELEASES, REQUESTS, ROUNDS, signer_topic
from streams.embedded import EmbeddedBroker

pytestmark = pytest.mark.faults

STEPS = ("heard", "saved", "sent")
FEE = {"solana": 5_000, "evm": 0}  # of one release, in minor units; Bitcoin's depends on its size


@pytest.fixture
def cluster(nursery, tmp_path):
    """Makes clusters, on an embedded broker of their own if they are not given one."""
    made = []

    def make(kinds, broker=None, **more):
        if broker is None:
            (tmp_path / "broker").mkdir()
            broker = EmbeddedBroker(tmp_path / "broker").start()
            made.append(broker.stop)
        here = Cluster(nursery, broker, tmp_path, kinds, **more)
        made.append(here.end)
        return here

    yield make
    for end in reversed(made):
        end()


def left_once(here, counter, kind, before, count):
    """The vault has lost exactly what was released, each once."""
    expected = before - count * (SOME[kind] + FEE[kind])
    vault = f"alice-{kind}"
    here.see(counter, lambda view: int(view.vaults[vault].free) <= expected, f"{vault} has paid")
    assert int(counter.view.vaults[vault].free) == expected


@pytest.mark.slow
def test_signers_killed_at_every_step_release_every_request_once(cluster):
    """Two of two, so that whoever is killed is needed; both are killed, each at another step of the same request."""
    here = cluster(["solana"], signers=2, threshold=2)
    here.begin(COORDINATOR, 1, 2)
    points = [f"die:{step}:{what}" for what in ("Vote", "Commitment", "Share") for step in STEPS]
    points.append("die:heard:Share")
    with here.open() as counter:
        here.prepare(counter)
        before = int(counter.view.vaults["alice-solana"].free)
        for both in zip(points[::2], points[1::2], strict=True):
            rounds = ["unprepared"] if any("Commitment" in point for point in both) else []
            for number, point in zip((1, 2), both, strict=True):
                here.kill(number)
                here.begin(number, sabotage=[point, *rounds])
            request = here.ask(counter, "solana")
            for number in (1, 2):
                here.wait_death(number)
                here.begin(number)
            status = here.reaches(counter, request)
            assert (status.state, status.unresolved) == (State.CONFIRMED, False), (both, status)
        left_once(here, counter, "solana", before, len(here.requests))
        here.check(counter)


def test_a_signer_that_stays_dead_is_left_out_and_named_if_there_are_too_few(cluster):
    here = cluster(["evm"])
    here.begin(COORDINATOR, 1, 2)
    with here.open() as counter:
        here.begin(3)
        here.prepare(counter)
        before = int(counter.view.vaults["alice-evm"].free)
        for number in (1, 2):
            here.kill(number)
        here.begin(1, sabotage=["die:heard:Share"])  # 1 and 3 are asked: the share of 1 never comes
        request = here.ask(counter, "evm")
        here.wait_death(1)
        here.begin(2)
        assert here.reaches(counter, request).state is State.CONFIRMED
        left_once(here, counter, "evm", before, 1)
        here.kill(3)
        request = here.ask(counter, "evm", expires_s=4)
        status = here.reaches(counter, request)
        assert status.state is State.EXPIRED
        assert "not signed by" in status.reason
        here.check(counter)


#: Where the coordinator is killed. Its chains are lost with it, so what was on its way to one of them may never arrive.
COORDINATOR_POINTS = (
    *(f"die:{step}:Propose" for step in STEPS),
    *(f"die:{step}:AskShare" for step in STEPS),
    "die:saved:AskCommitment",
    "die:chain:Broadcast",
    *(f"die:{step}:Status.signed" for step in STEPS),
    "die:saved:Status.confirmed",
)


@pytest.mark.slow
def test_a_coordinator_killed_at_every_step_brings_every_request_to_one_end(cluster):
    here = cluster(["bitcoin", "solana"])
    here.begin(COORDINATOR, 1, 2, 3)
    with here.open() as counter:
        here.prepare(counter)
        ends = {}
        for kind, point in zip(cycle(here.kinds), COORDINATOR_POINTS, strict=False):
            if point == "die:saved:AskCommitment":
                for number in here.house.numbers:
                    here.kill(number)
                here.begin(*here.house.numbers, sabotage=["unprepared"])
            here.kill(COORDINATOR)
            here.begin(COORDINATOR, sabotage=[point])
            confirmed = "Propose" in point or "confirmed" in point  # before there is a plan, or after its end
            request = here.ask(counter, kind, expires_s=90 if confirmed else 20)
            here.wait_death(COORDINATOR)
            here.begin(COORDINATOR)
            ends[point] = here.reaches(counter, request)
        print({point: (status.state.value, status.reason) for point, status in ends.items()})
        here.check(counter)
        before_plan = [status.state for point, status in ends.items() if "Propose" in point or "confirmed" in point]
        assert before_plan == [State.CONFIRMED] * 4


@pytest.fixture
def any_broker(request, tmp_path):
    """Apache Kafka itself where it is asked for and can be run, else None: the embedded one, as in the other tests here."""
    try:
        server = None if request.config.getoption("--broker") == "tansu" else KafkaServer(tmp_path)
    except Missing:
        server = None
    with server or nullcontext():
        yield server


class Stranger:
    """Somebody who may read and write every topic and has no key: says again what others have said, and what nobody has."""

    def __init__(self, here, rng):
        self.address, self.rng = here.address, rng
        self.topics = [REQUESTS, ROUNDS, RELEASES, *map(signer_topic, here.house.numbers)]
        self.producer = KafkaProducer(bootstrap_servers=here.address, acks="all", enable_idempotence=False)

    def heard(self):
        """All that there is."""
        return [(topic, record) for topic in self.topics for record in read_topic(self.address, topic)]

    def say_again(self, records):
        """In any order, some twice; some changed a little."""
        records = records + self.rng.sample(records, len(records) // 3)
        self.rng.shuffle(records)
        for topic, record in records:
            value = record.value
            if self.rng.random() < 0.1:
                at = self.rng.randrange(len(value))
                value = value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
            self.producer.send(topic, value, key=record.key, headers=record.headers)
        self.producer.flush(30)

    def close(self):
        """Go away."""
        self.producer.close(timeout=1)


@pytest.mark.slow
def test_letters_dropped_doubled_reordered_and_replayed_from_a_former_epoch_change_nothing(cluster, any_broker):
    """And all the while nobody but its signer has a share in its memory."""
    here = cluster(["solana"], broker=any_broker)
    rng = random.Random(20)
    stranger = Stranger(here, rng)
    here.begin(COORDINATOR, sabotage=["drop:Propose", "drop:AskShare", "double:Status.signed"])
    here.begin(1, sabotage=["drop:Vote", "double:Share"])
    here.begin(2, sabotage=["drop:Share", "double:Vote"])
    here.begin(3, sabotage=["drop:Commitment", "drop:Share", "unprepared"])
    with here.open() as counter:
        here.prepare(counter)
        before = int(counter.view.vaults["alice-solana"].free)
        request = here.ask(counter, "solana")
        assert here.reaches(counter, request).state is State.CONFIRMED
        former = stranger.heard()  # of epoch 0
        here.refresh(counter, "solana")
        stranger.say_again(former)
        for _ in range(2):
            request = here.ask(counter, "solana")
            stranger.say_again(rng.sample(former, len(former) // 2))
            status = here.reaches(counter, request)
            assert (status.state, status.excluded) == (State.CONFIRMED, {})
        left_once(here, counter, "solana", before, 3)
        if Path("/proc/self/mem").exists():  # after a key, a refresh and releases
            assert here.shares_in_memory() == {COORDINATOR: set(), 1: {1}, 2: {2}, 3: {3}}
        stranger.say_again(stranger.heard())
        here.kill(COORDINATOR)  # and whoever starts again reads all of it
        here.kill(1)
        here.begin(COORDINATOR, 1)
        request = here.ask(counter, "solana")
        assert here.reaches(counter, request).state is State.CONFIRMED
        here.check(counter)
    stranger.close()


@pytest.mark.parametrize(
    ("mutants", "says"),
    [(("same-nonces",), "nonces were used twice"), (("forgetful", "plans-anew"), "two contents were signed")],
    ids=["the same nonces after a restart", "a plan for every attempt"],
)
def test_what_is_checked_here_can_fail(cluster, mutants, says):
    """Each safeguard is taken away, and the same check that the others rest on must notice."""
    here = cluster(["bitcoin"], signers=2, threshold=2, mutants=mutants)
    here.begin(COORDINATOR, 1, 2)
    with here.open() as counter:
        here.prepare(counter)
        for number, point in ((1, "die:sent:Share"), (2, "die:heard:Share")):
            here.kill(number)
            here.begin(number, sabotage=[point])
        request = here.ask(counter, "bitcoin", expires_s=30)
        for number in (1, 2):
            here.wait_death(number)
            here.begin(number)
        here.reaches(counter, request, State.SIGNED, State.BROADCAST, State.CONFIRMED)
        with pytest.raises(AssertionError, match=says):
            here.check(counter)
