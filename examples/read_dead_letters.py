"""See what M1CEP could not read, and why, with kafka-python.

    pip install kafka-python
    python read_dead_letters.py 127.0.0.1:9092

A dead letter names topic, partition and offset of the record, the column and what was expected, and holds the record's bytes.
Correct the producer, then send the event again, with a new event id.
"""

import base64
import json
import sys

from kafka import KafkaConsumer

TOPIC = "m1cep.dead-letters.v1"


def main() -> None:
    """For ever: print each letter."""
    consumer = KafkaConsumer(
        TOPIC,
        bootstrap_servers=sys.argv[1],
        group_id="example-dead-letters",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    for record in consumer:
        letter = json.loads(record.value)
        where = f"{letter['topic']}[{letter['partition']}]@{letter['offset']}"
        print(f"{where} {letter['column'] or '-'}: {letter['reason']}", flush=True)
        if letter["encoding"] == "base64":
            print(f"  {base64.b64decode(letter['raw'])!r}", flush=True)
        else:
            print(f"  {letter['raw']!r}", flush=True)  # repr: what a stranger wrote must not steer the terminal
        consumer.commit()


if __name__ == "__main__":
    main()
