"""What a topic holds now."""

from kafka import KafkaConsumer, TopicPartition


def read_topic(address, topic):
    """Every record, the oldest of each partition first."""
    consumer = KafkaConsumer(bootstrap_servers=address, enable_auto_commit=False, max_poll_records=5000)
    try:
        tps = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic))]
        consumer.assign(tps)
        consumer.seek_to_beginning(*tps)
        # The embedded broker names the offset after the first record of the last batch: who has that record has fetched
        # the whole batch, and the rest of it is given out by polls that wait for nothing.
        end = consumer.end_offsets(tps)
        found = []
        while True:
            there = all(consumer.position(tp) >= end[tp] for tp in tps)
            batch = [r for rs in consumer.poll(timeout_ms=0 if there else 200).values() for r in rs]
            if there and not batch:
                return found
            found += batch
    finally:
        consumer.close()
