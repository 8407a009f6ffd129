"""The agents of grid trading over topics in memory: who reads what, in batches of any size, with crashes of any of them.

What a broker guarantees is kept (order in a partition, nothing lost that was taken), and no more: topics are read in any order,
and whoever crashes begins again at its last snapshot, with what it has written since then written already.
"""

import json
import random
from collections import defaultdict
from decimal import Decimal
from types import SimpleNamespace

from m1cep.grid import wire
from m1cep.grid.machine import GridSpec, Rung, Start
from m1cep.grid.orders import Market
from streams import codec
from streams.agents.grid import GridPartition
from streams.agents.outbox import Packet, keyed_partition
from streams.agents.paper_exchange import PaperPartition
from streams.agents.sequencer import SequencerPartition
from streams.files import load_streams
from streams.grid.log import COMMANDS, GRID_LOG, GRIDS, PAPER_LOG, event_record
from streams.transport import Batch

PARTITIONS = 2
MARKET = Market("BTC-USD", Decimal("0.5"), Decimal("0.001"), Decimal(1), Decimal("0.0002"), Decimal("0.0005"))
MARKET_TOPIC, FILLS_TOPIC = "m1cep.market.v1", "m1cep.fills.v1"
SPEC = GridSpec(
    market=MARKET,
    centre_ticks=1000,
    up=(Rung(lots=20, ticks=3),) * 3,
    down=(Rung(lots=20, ticks=3),) * 3,
    cash=Decimal(1000),
    lots=200,
    retry_ms=200,
    place_ttl_ms=1_500,
    ask_after_ms=2_000,
    reconcile_ms=4_000,
)
STREAMS = load_streams()


class Agent:
    """One partition number of an agent, and its last snapshot."""

    def __init__(self, topics, open_partition):
        self.topics, self.open = topics, open_partition
        self.kept = (dict.fromkeys(topics, 0), None)
        self.begin()

    def begin(self):
        positions, state = self.kept
        self.partition = self.open(dict(positions), state)

    def save(self):
        self.kept = (dict(self.partition.positions), self.partition.snapshot())


class Topics:
    """Grids, their exchange and a market, until nothing more happens."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.now_ms = 1_000_000
        self.topics = defaultdict(list)
        self.agents = {}
        self.ids = {COMMANDS: "id-c", MARKET_TOPIC: "id-m"}
        self.flow_partition = keyed_partition(MARKET.symbol.encode(), PARTITIONS)
        for n in range(PARTITIONS):
            self.agents["sequencer", n] = Agent(
                (COMMANDS, MARKET_TOPIC), lambda at, _state, n=n: SequencerPartition(n, at, dict(self.ids))
            )
            self.agents["paper", n] = Agent((PAPER_LOG,), lambda at, state, n=n: self.exchange(n, at[PAPER_LOG], state))
            self.agents["grid", n] = Agent(
                (GRID_LOG, codec.ACTIONS), lambda at, state, n=n: GridPartition(n, at, PARTITIONS, state)
            )
        self.orders, self.count = {}, 0

    @staticmethod
    def exchange(number, position, state):
        market, fills = STREAMS["market"], STREAMS["fills"]
        return PaperPartition(
            number, position, [MARKET], market=market, fills=fills, partitions=PARTITIONS, state=state
        )

    # -- topics

    def write(self, topic, key, value, headers=(), partition=None):
        number = keyed_partition(key, PARTITIONS) if partition is None else partition
        records = self.topics[topic, number]
        records.append(
            SimpleNamespace(offset=len(records), timestamp=self.now_ms, key=key, value=value, headers=list(headers))
        )

    def send(self, outcome):
        for message in outcome.messages:
            if isinstance(message, Packet):
                for key, value, headers in message.records:
                    self.write(message.topic, key, value, headers, message.partition)
            else:
                self.write(*message)

    def read(self, topic):
        return [record for n in range(PARTITIONS) for record in self.topics[topic, n]]

    # -- what happens

    def start(self, name, account="desk"):
        more = {"spec": wire.spec_plain(SPEC), "account": account, "venue": "paper"}
        self.write(GRID_LOG, *event_record(name, Start(f"start-{name}"), f"start-{name}", "/test", **more))

    def take(self, name, most=None):
        """One agent reads a batch, if there is something."""
        agent = self.agents[name]
        waiting = [t for t in agent.topics if len(self.topics[t, name[1]]) > agent.partition.positions[t]]
        if not waiting:
            return False
        topic = self.rng.choice(waiting)
        position = agent.partition.positions[topic]
        count = most or self.rng.choice([1, 1, 3, 50])
        records = self.topics[topic, name[1]][position : position + count]
        batch = Batch(topic, name[1], 1, position, records[-1].offset + 1, records)
        self.send(agent.partition.take(batch))
        return True

    def pass_time(self, ms):
        self.now_ms += ms
        for (kind, _), agent in self.agents.items():
            if kind == "grid" and (outcome := agent.partition.tick(self.now_ms)):
                self.send(outcome)

    def trade(self):
        """The real flow: somebody's order, small or large, near the price; some go again."""
        rng = self.rng
        self.count += 1
        if self.orders and rng.random() < 0.4:
            order_id = rng.choice(list(self.orders))
            event = self.orders.pop(order_id) | {"action": "deleted"}
        else:
            side = rng.choice(["bid", "ask"])
            ticks = 1000 + rng.randint(-12, 12)
            event = {"action": "created", "order_id": f"x{self.count}", "side": side, "price": ticks * 0.5}
            event |= {"qty": rng.randint(1, 40) / 1000, "symbol": MARKET.symbol}
            self.orders[event["order_id"]] = event
        event |= {"event_id": f"m{self.count}", "ts": self.now_ms}
        self.write(MARKET_TOPIC, MARKET.symbol.encode(), json.dumps(event).encode())

    def step(self, crashes=0.05):
        rng = self.rng
        name = rng.choice(list(self.agents))
        dice = rng.random()
        if dice < 0.5:
            self.take(name)
        elif dice < 0.65:
            self.trade()
        elif dice < 0.8:
            self.pass_time(rng.choice([1, 20, 300]))
        elif dice < 0.9:
            self.agents[name].save()
        elif dice < 0.9 + crashes:
            self.agents[name].begin()

    def fall_silent(self):
        for (kind, _), agent in self.agents.items():
            if kind == "sequencer":
                for topic in agent.topics:
                    self.send(agent.partition.idle(topic))

    def settle(self, seconds=30):
        """Let everything come to its end, without the market moving."""
        for _ in range(seconds * 5):
            while sum(self.take(name, 50) for name in self.agents):
                pass
            self.fall_silent()
            self.pass_time(200)

    # -- to look at

    def grids(self):
        fleets = [agent.partition._fleet for (kind, _), agent in self.agents.items() if kind == "grid"]
        return {name: member.grid for fleet in fleets for name, member in fleet.members.items()}

    def floor(self):
        return self.agents["paper", self.flow_partition].partition._venue._floors[MARKET.symbol].exchange

    def again(self, name):
        """The same agent, from nothing, over all that its topics hold: its state, and what it writes."""
        twin = self.agents[name].open(dict.fromkeys(self.agents[name].topics, 0), None)
        written = []
        for topic in twin.positions:
            if records := self.topics[topic, name[1]]:
                written += twin.take(Batch(topic, name[1], 1, 0, len(records), records)).messages
        return twin, written


def standing(topics):
    """The newest status of each grid."""
    return {json.loads(r.value)["grid"]: json.loads(r.value) for r in topics.read(GRIDS)}
