"""Where the agent ledger reads on: what was deleted unread is not passed over in silence."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.agents.ledger import LedgerRunner, starting_points
from streams.agents.stats import AgentStats
from streams.errors import ShellError

A, B = TopicPartition("fills", 0), TopicPartition("fills", 1)


def test_it_reads_on_where_the_books_end():
    assert starting_points({A: 7, B: 0}, {A: 7, B: 0}, pass_over=False) == {A: 7, B: 0}
    assert starting_points({A: 7, B: 3}, {A: 5, B: 0}, pass_over=False) == {A: 7, B: 3}


def test_records_that_were_deleted_before_they_were_booked_stop_it_unless_they_are_to_be_passed_over():
    with pytest.raises(ShellError, match="fills/0 from offset 7 to 9") as caught:
        starting_points({A: 7, B: 3}, {A: 9, B: 3}, pass_over=False)
    assert "--pass-over-lost" in caught.value.remedy
    assert starting_points({A: 7, B: 3}, {A: 9, B: 3}, pass_over=True) == {A: 9, B: 3}


def test_what_is_passed_over_is_counted():
    class Consumer:
        assign = seek = lambda *_: None

        async def beginning_offsets(self, _tps):
            return {A: 9, B: 0}

    agent = object.__new__(LedgerRunner)
    agent._positions, agent._stats, agent._pass_over, agent._consumer = {A: 7, B: 3}, AgentStats(), True, Consumer()
    asyncio.run(agent._seek())
    assert agent._stats.as_dict()["lost_by_topic"] == {"fills": 2}


def test_nothing_is_measured_of_partitions_that_are_not_read_yet():
    """The worker asks for the lag each second, also while the books still say from where to read."""

    async def measured():
        agent = object.__new__(LedgerRunner)
        agent._watches, agent._positions, agent._stats = [], {A: 7}, AgentStats()
        agent._consumer = AIOKafkaConsumer()  # not started, nothing assigned
        agent.measure()
        return agent._stats.lag

    assert asyncio.run(measured()) == {}
