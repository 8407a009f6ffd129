"""Write orders to M1CEP's input topic, with confluent-kafka.

    pip install confluent-kafka
    python produce_orders.py 127.0.0.1:9092

The key is the account: Kafka keeps the events of one key in order, and rules about an account need that. The event id is
yours: an event that is sent again with the same id counts once.
"""

import json
import sys
import time

from confluent_kafka import KafkaError, Message, Producer

TOPIC = "m1cep.orders.v1"


def orders(now_ms: int) -> list[dict[str, object]]:
    """Three small orders and one large one, a second apart."""
    return [
        {
            "event_id": f"example-{now_ms}-{number}",
            "account": "acc-1",
            "order_id": f"ord-{now_ms}-{number}",
            "symbol": "BTC-USD",
            "action": "new",
            "side": "buy",
            "price": 64_000.5,
            "qty": qty,
            "ts": now_ms + number * 1_000,
        }
        for number, qty in enumerate([0.5, 0.25, 0.1, 500.0])
    ]


def main() -> None:
    """Send them, and do not end before the broker has them all."""
    refused: list[KafkaError] = []

    def answered(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            refused.append(error)

    producer = Producer({"bootstrap.servers": sys.argv[1], "acks": "all", "message.timeout.ms": 30_000})
    sent = orders(time.time_ns() // 1_000_000)
    for order in sent:
        producer.produce(TOPIC, key=str(order["account"]), value=json.dumps(order), on_delivery=answered)
    left = producer.flush(30)
    if left or refused:
        sys.exit(f"{left + len(refused)} of {len(sent)} orders were not taken: {refused}")
    print(f"{len(sent)} orders are on {TOPIC}")


if __name__ == "__main__":
    main()
