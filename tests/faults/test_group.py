"""Several workers: one that is paused and comes back, and many that come and go."""

import random
import signal
import threading
import time

import pytest
from faults import load
from faults.harness import until

from streams import snapshots

pytestmark = pytest.mark.faults


def _saved_positions(home):
    """Positions in the newest snapshot of each partition, as the next owner would load it."""
    found = {}
    for folder in home.glob("**/snapshots/*/*/*"):
        newest = next(snapshots.FolderStore(folder.parent).load(int(folder.name)), None)
        if newest is not None:
            positions = snapshots.decode(newest.data).positions
            found |= {(topic, int(folder.name)): at for topic, at in positions.items()}
    return found


def test_a_paused_worker_that_comes_back_can_neither_overwrite_nor_commit(kafka, workers, finished, tmp_path):
    """
    first    ──── portion 1 ──── part of 2 ─ SIGSTOP ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄ SIGCONT ── goes on with 2 ─▶ refused
    second                                           ── rest of 2 ──── 3 ──── saved, committed ─▶
    """
    one, two, three, four = load.make(60_000, 21).portions(4)
    kafka.send(one)
    first = workers()
    until(lambda: kafka.all_committed(first), 30, first.said)
    seen = first.stats["events"]
    # It is stopped with batches that are processed and not saved, and with others in its queue.
    sending = threading.Thread(target=kafka.send, args=(two,))  # at its side: it is as fast as who sends
    sending.start()
    until(lambda: first.stats["events"] > seen + 1000, 60, first.said)
    first.signal(signal.SIGSTOP)
    sending.join()
    assert first.stats["events"] < len(one) + len(two), "it was faster than its stop"
    second = workers()
    kafka.send(three)
    until(lambda: kafka.all_committed(second), 30, second.said)
    before = _saved_positions(tmp_path / "home")
    assert sum(before.values()) == len(kafka.sent)
    first.signal(signal.SIGCONT)
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:  # time enough to save what it had, to commit, and to join again
        after = _saved_positions(tmp_path / "home")
        assert all(after[tp] >= at for tp, at in before.items()), (
            "the paused worker has put its old snapshot over the new one"
        )
        assert kafka.committed() >= len(kafka.sent), "the paused worker has committed its old positions"
    assert "superseded" in first.said() or "belongs to another worker" in first.said(), first.said()
    kafka.send(four)
    until(lambda: kafka.all_committed(second), 30, second.said)
    first.kill()
    assert finished(second) > 0


@pytest.mark.slow
def test_workers_that_come_and_go_every_few_seconds_under_load(kafka, workers, finished):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    portions = load.make(80_000, seed).portions(7)
    running = [workers(wait=False)]
    for number, portion in enumerate(portions[:-1]):
        kafka.send(portion)
        time.sleep(rng.uniform(0.5, 2))
        if number % 2 == 0:
            running.append(workers(wait=False))
        elif rng.random() < 0.5:
            running.pop(rng.randrange(len(running))).kill()
        else:
            running.pop(rng.randrange(len(running))).stop()
    kafka.send(portions[-1])
    last = running.pop()
    for worker in running:
        worker.stop()
    finished(last)
