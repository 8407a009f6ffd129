"""What a topic holds now."""

from kafka import KafkaConsumer, TopicPartition


def read_topic(address, topic):
    """Every record, the oldest of each partition first."""
    consumer = KafkaConsumer(bootstrap_servers=address, enable_auto_commit=False, max_poll_records=5000)
    try:
        tps = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic))]
        consumer.assign(tps)
        consumer.seek_to_beginning(*tps)
        end = consumer.end_offsets(tps)  # on the embedded broker too low, so what comes is read beyond it
        found, empty = [], 0
        while empty < 2:
            batch = [r for rs in consumer.poll(timeout_ms=200).values() for r in rs]
            found += batch
            empty = empty + 1 if not batch and all(consumer.position(tp) >= end[tp] for tp in tps) else 0
        return found
    finally:
        consumer.close()
