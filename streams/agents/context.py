"""What a worker is told, and what it gives to each of its agents."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from streams import codec
from streams.agents.solo import Solo
from streams.errors import ServerError, ShellError
from streams.readiness import ReadyLimits
from streams.security import faust_credentials
from streams.snapshots import open_store
from streams.topic_table import topics_by_other_keys
from streams.topics import create_missing, topic_ids
from streams.web.access import WebOptions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from pydantic import SecretStr

    from m1cep import Lookups, Rule, Stream
    from streams.agents.host import Host
    from streams.agents.keeper import OpenPartition
    from streams.agents.outbox import Outbox
    from streams.agents.solo import Machine
    from streams.agents.stats import AgentStats
    from streams.cache.copies import Copies
    from streams.cache.library import Still
    from streams.gateways.access import VenueAccess
    from streams.rekey import Rekeyed
    from streams.rules.follow import Follower

#: What every agent writes to.
OUTPUT_TOPICS = (codec.ALERTS, codec.ACTIONS, codec.DEAD_LETTERS, codec.LATE)


@dataclass(frozen=True)
class CustodyOptions:
    """What the agents of custody need beside what all agents do.

    Attributes:
        roster: file that says who is who.
        policy: file of what may leave a vault.
        signer: number of the signer that this worker is; None: it is none.
        keyfile: of the signer; ``passphrase``: of the keyfile.
        key: file of the coordinator's key; ``chains_key``: of the source of facts in whose name it tells balances.
        chains: which chains the coordinator has behind it.
    """

    roster: Path
    policy: Path | None = None
    signer: int | None = None
    keyfile: Path | None = None
    passphrase: str = field(default="", repr=False)
    key: Path | None = None
    chains_key: Path | None = None
    chains: str = "local"


@dataclass(frozen=True)
class LedgerOptions:
    """What the agent ledger needs beside what all agents do.

    Attributes:
        databases: address of each shard's primary, as the role that writes.
        chart: file of the chart of accounts; None: the packaged one.
        pass_over_lost: book on although the topics no longer have records that were not booked.
        replicas: of each shard's replica, as the role that reads, to say how far it is behind; empty: nobody looks.
    """

    databases: Sequence[str] = field(repr=False)
    chart: Path | None = None
    replicas: Sequence[str] = field(default=(), repr=False)
    pass_over_lost: bool = False


@dataclass(frozen=True)
class WorkerOptions:
    """What to run and how.

    Attributes:
        agents: names from ``AGENTS``.
        rules, streams: compiled.
        lookups: lists and parameters for the rules; None means that there are none.
        cache_url: of the cache, for the agent that writes to it.
        markets: file of the paper exchange's markets; None: the packaged ones.
        limits: file of the pre-trade check's limits; None: the packaged ones.
        targets: file of where alerts go, of the agent notify; None: nowhere.
        rpc_port: of the pre-trade check, on 127.0.0.1; 0: any free one.
        venue: where grids trade for real; None: nowhere.
        client: settings of Kafka clients, with ``bootstrap_servers`` as host:port.
        state_dir: folder for what must survive a restart.
        custody: of a custody agent; None: no such agent is asked for.
        ledger: what the ledger needs; None: no ledger is asked for.
        state_url: PostgreSQL for the snapshots instead of the folder; ``allow_plaintext`` permits one elsewhere without TLS.
        statements: folder below which statements of what is owed are published, for the dashboard; None: it shows none.
        group: prefix of the agents' consumer groups.
        live_rules: whether rules of the topic are run too; ``deployed``: reads them, made by the worker.
        stats_file: rewritten every ``stats_every_s``, or None.
        idle_timeout_s: a topic silent for so long no longer holds back others.
        silence_s: event time goes on in a silent partition, so far behind the clock; 0: it stands still.
        seen: how many events of a topic and partition are remembered to drop repetitions; 0 drops none.
        max_waiting: a topic with so many events that wait for other topics is not read further for now.
        snapshot_every_s: how often an agent saves what has changed and commits, at most.
        broker_timeout_s: the worker gives up on a broker that has been silent for so long.
        stall_timeout_s: a worker that stands still for so long while events come is ended (see :class:`Watchdog`).
        session_timeout_s, fetch_max_wait_ms: see :class:`BatchApp`.
        web: where the web server listens, if there is one; ready: when the worker is.
    """

    agents: Sequence[str]
    rules: Sequence[Rule]
    streams: Mapping[str, Stream]
    client: Mapping[str, Any]
    state_dir: Path
    group: str = "m1cep"
    stats_file: Path | None = None
    stats_every_s: float = 1.0
    idle_timeout_s: float = 0.1
    silence_s: float = 5.0
    seen: int = 10_000
    max_waiting: int = 20_000
    snapshot_every_s: float = 1.0
    broker_timeout_s: float = 10.0
    stall_timeout_s: float = 60.0
    session_timeout_s: float = 6.0
    fetch_max_wait_ms: int = 20
    lookups: Still | Copies | Lookups | None = None
    cache_url: SecretStr | None = None
    markets: Path | None = None
    limits: Path | None = None
    targets: Path | None = None
    rpc_port: int = 0
    custody: CustodyOptions | None = None
    venue: VenueAccess | None = None
    ledger: LedgerOptions | None = None
    statements: Path | None = None
    state_url: SecretStr | None = None
    allow_plaintext: bool = False
    live_rules: bool = False
    deployed: Follower | None = None
    web: WebOptions = field(default_factory=WebOptions)
    ready: ReadyLimits = field(default_factory=ReadyLimits)
    stats: dict[str, AgentStats] = field(default_factory=dict)

    @property
    def broker(self) -> str:
        """``host:port``."""
        return str(self.client["bootstrap_servers"])


@dataclass(frozen=True)
class AgentContext:
    """The worker's options, its outbox, and the counters of one agent."""

    options: WorkerOptions
    outbox: Outbox
    stats: AgentStats

    async def new_host(
        self,
        agent: str,
        topics: Iterable[str],
        open_partition: OpenPartition,
        rules: Mapping[str, str],
        outputs: Sequence[str] = (),
        before_restore: Callable[[], Awaitable[None]] | None = None,
    ) -> Host:
        """The host of an agent, attached to a Faust app in the consumer group ``<group>-<agent>`` that is not started.

        Args:
            agent: its name.
            topics: what it reads.
            open_partition: see :class:`Keeper`.
            rules: version by id of what its state depends on.
            outputs: topics that it writes to besides ``OUTPUT_TOPICS``.
            before_restore: see :class:`Keeper`.

        Raises:
            ServerError: a topic does not exist.
            ShellError: partition counts differ.
        """
        # Faust takes a fifth of the time in which a signer starts, and agents that are one do without.
        from streams.agents.flow import Flow
        from streams.agents.host import Host
        from streams.agents.keeper import Keeper
        from streams.transport import BatchApp

        options, inputs = self.options, sorted(topics)
        cluster = await self._check_topics(inputs, outputs)
        ids = await asyncio.to_thread(topic_ids, options.client, inputs)
        group = f"{options.group}-{agent}"
        # By cluster: the embedded broker is a new one at every start, and offsets of another cluster mean nothing here.
        store = open_store(
            options.state_url, options.state_dir, cluster or "", group, allow_plaintext=options.allow_plaintext
        )
        host = Host(
            agent,
            frozenset(inputs),
            Keeper(agent, store, open_partition, ids, rules, before_restore),
            self.outbox,
            self.stats,
            flow=Flow(options.idle_timeout_s, options.silence_s, options.max_waiting),
            snapshot_every_s=options.snapshot_every_s,
        )
        host.attach(
            BatchApp(
                group,
                topics=inputs,
                handler=host,
                broker=options.broker,
                credentials=faust_credentials(options.client),
                data_dir=options.state_dir / "faust",
                fetch_max_wait_ms=options.fetch_max_wait_ms,
                session_timeout_s=options.session_timeout_s,
            )
        )
        return host

    async def new_solo(
        self, name: str, machine: Machine, topics: Iterable[str], outputs: Sequence[str] = (), **more: Any
    ) -> Solo:
        """The runner of an agent that is one and not many; its state is kept beside that of the groups ``<group>-...``.

        Args:
            name: of the agent; of several of a kind each has its own, such as signer-2.
            machine: fresh.
            topics: what it reads.
            outputs: topics that it writes to.
            more: of :class:`Solo`, what only some agents need.

        Raises:
            ServerError: a topic does not exist.
        """
        options, inputs = self.options, sorted(topics)
        found = await self.outbox.look((*inputs, *outputs))
        if missing := [topic for topic in (*inputs, *outputs) if not found.partitions.get(topic)]:
            raise _missing(options.broker, missing)
        ids = await asyncio.to_thread(topic_ids, options.client, inputs)
        store = open_store(
            options.state_url,
            options.state_dir,
            found.id or "",
            f"{options.group}-{name}",
            allow_plaintext=options.allow_plaintext,
        )
        return Solo(
            name,
            machine,
            store=store,
            outbox=self.outbox,
            stats=self.stats,
            client=options.client,
            ids={topic: ids.get(topic, "") for topic in inputs},
            fetch_max_wait_ms=options.fetch_max_wait_ms,
            **more,
        )

    async def make_topics(self, by_other_keys: Sequence[Rekeyed]) -> int:
        """Make the topics of streams by other keys that are missing, with as many partitions as the streams' own topics.

        Returns:
            That number of partitions.

        Raises:
            ServerError: a stream has no topic.
            ShellError: partition counts differ, or the broker refuses a topic.
        """
        sources = sorted({one.stream.topic for one in by_other_keys})
        await self._check_topics(sources)
        partitions = (await self.outbox.look(sources)).partitions[sources[0]]
        topics = topics_by_other_keys(by_other_keys)
        await asyncio.to_thread(create_missing, self.options.client, topics, partitions)
        await self._check_topics([*sources, *(topic.name for topic in topics)])
        return partitions

    async def _check_topics(self, inputs: Sequence[str], outputs: Sequence[str] = ()) -> str | None:
        """Check that there is something to read from and to write to; the id of the cluster."""
        wanted = dict.fromkeys((*inputs, *OUTPUT_TOPICS, *outputs))
        cluster = await self.outbox.look(wanted)
        found = cluster.partitions
        missing = [topic for topic in wanted if not found.get(topic)]
        if missing:
            raise _missing(self.options.broker, missing)
        if len({found[topic] for topic in inputs}) > 1:
            counts = ", ".join(f"{topic} {found[topic]}" for topic in inputs)
            raise ShellError(
                f"the topics that the rules read have different numbers of partitions: {counts}",
                "partition p of all of them is processed together: make the numbers equal",
            )
        return cluster.id


def _missing(broker: str, topics: Sequence[str]) -> ServerError:
    return ServerError(f"the broker at {broker} has no topic {', '.join(topics)}", "make them: m1cep topics create")
