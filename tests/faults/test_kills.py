"""Workers that are killed: at random moments, and at each step of the order of effects."""

import random
import signal
import time

import orjson
import pytest
from faults import load
from faults.harness import until

pytestmark = pytest.mark.faults

KILLS = 20


@pytest.mark.slow
def test_killed_at_random_moments_it_misses_nothing_and_invents_nothing(kafka, workers, finished):
    """200 k events arrive in portions; in the time in which each is processed the worker is killed once."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    portions = load.make(200_000, seed).portions(KILLS + 1)
    for portion in portions[:-1]:
        worker = workers(wait=False)
        kafka.send(portion)
        until(worker.ready, 30, worker.said)
        time.sleep(rng.expovariate(1 / 0.25))
        worker.kill()
        assert worker.status == -signal.SIGKILL, worker.said()
    kafka.send(portions[-1])
    repeated = finished(workers())
    print(f"{repeated} alerts came more than once")
    assert repeated > 0, "no kill came between an alert and its snapshot: the test has shown nothing"


# Each comes at the second or third time, so that there is a snapshot to go back to; and at the first, when there is none.
@pytest.mark.parametrize(
    "step", ["sent:1", "acknowledged:1", "saved:1", "half-written:6", "not-renamed:6", "committed:5"]
)
def test_killed_at_a_step_of_the_order_of_effects(kafka, workers, finished, step):
    """sent ─▶ acknowledged ─▶ half-written ─▶ not-renamed ─▶ saved ─▶ committed; then everything again."""
    portions = iter(load.make(16_000, step).portions(10))
    worker = workers(sabotage=["snapshot-every=0.2", "session=1", f"die-at={step}"], wait=False)
    until(worker.ready, 30, worker.said)
    for (
        portion
    ) in portions:  # one after the other, so that there is something new for each snapshot, however fast we are
        kafka.send(portion)
        until(lambda: worker.status is not None or kafka.committed() == len(kafka.sent), 60, worker.said)
        if worker.status is not None:
            break
    assert worker.ended() == -signal.SIGKILL, worker.said()
    for portion in portions:
        kafka.send(portion)
    finished(workers())


def test_killed_after_a_snapshot_with_alerts_still_on_their_way(kafka, workers, finished):
    """Those are of later batches: what the snapshot has behind it has arrived, however slow the sink."""
    kafka.send(load.make(16_000, 6).records)
    asked = ["snapshot-every=0.2", "session=1", "slow-sink=0.4", "die-at=saved:4"]
    worker = workers(sabotage=asked, wait=False)
    assert worker.ended() == -signal.SIGKILL, worker.said()
    finished(workers())


def test_an_exception_at_a_record_ends_the_worker_and_loses_nothing(kafka, workers, finished):
    """Not one of a rule, which is put aside: one of the engine. It ends with 1, and the next one takes the same records again."""
    records = load.make(16_000, 5).records
    event = next(orjson.loads(r.value)["event_id"] for r in records[9000:] if r.stream == "orders")
    kafka.send(records)
    worker = workers(sabotage=["snapshot-every=0.2", "session=1", f"raise-at={event}"], wait=False)
    assert worker.ended() == 1, worker.said()
    last = worker.said().strip().splitlines()[-1]
    assert f"as asked, at {event}" in last
    assert "Traceback" not in worker.said()
    assert kafka.committed() < len(kafka.sent)
    finished(workers())
