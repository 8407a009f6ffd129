"""Snapshot stores, the folder and PostgreSQL alike: one owner at a time, and what was saved is there whole, whatever happens."""

import contextlib
import itertools
import os
import random
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest

from streams.snapshots import KEPT, FolderStore, StoreError, SupersededError, decode, open_store

CLUSTER = "a-cluster"


class FolderKind:
    """Stores in one folder."""

    def __init__(self, folder):
        self.state_dir = folder

    def open(self, cluster=CLUSTER, group="g"):
        return open_store(None, self.state_dir, cluster, group)

    def arguments(self):
        """What a command line takes to open the same."""
        return "", str(self.state_dir), CLUSTER, "g"


class PostgresKind:
    """Stores in one server; the names of groups are made different from those of other tests."""

    def __init__(self, folder, server):
        self.state_dir, self.url, self.unique = folder, server.url, uuid.uuid4().hex

    def open(self, cluster=CLUSTER, group="g"):
        return open_store(self.url, self.state_dir, cluster, f"{group}-{self.unique}")

    def arguments(self):
        return self.url.get_secret_value(), str(self.state_dir), CLUSTER, f"g-{self.unique}"


@pytest.fixture(params=["folder", "postgres"])
def kind(request, tmp_path):
    """A kind of store; ``kind.open()`` gives a worker's view of what is stored, each with connections of its own."""
    opened = []
    in_folder = request.param == "folder"
    made = FolderKind(tmp_path) if in_folder else PostgresKind(tmp_path, request.getfixturevalue("postgres"))
    open_one = made.open
    made.open = lambda *names, **more: opened.append(open_one(*names, **more)) or opened[-1]
    yield made
    for store in opened:
        store.close()


@pytest.fixture
def store(kind):
    return kind.open()


def loaded(store, partition=0):
    return [saved.data for saved in store.load(partition)]


class TestOwners:
    def test_every_claim_gives_a_higher_generation_unless_nobody_claimed_since_mine(self, kind):
        one, two = kind.open(), kind.open()
        first = one.claim(0)
        assert first >= 1
        assert one.claim(0, first) == first
        second = two.claim(0)
        assert second > first
        third = one.claim(0, first)
        assert third > second
        assert two.claim(0, third) == third

    def test_claims_at_the_same_time_give_different_generations(self, kind):
        stores = [kind.open() for _ in range(6)]
        start, got = threading.Barrier(len(stores)), []

        def claim(store):
            start.wait()
            got.extend(store.claim(0) for _ in range(10))

        threads = [threading.Thread(target=claim, args=(store,)) for store in stores]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 60
        assert len(set(got)) == 60

    def test_a_former_owner_cannot_save_and_changes_nothing(self, kind):
        former, owner = kind.open(), kind.open()
        old = former.claim(0)
        former.save(0, old, b"before")
        former.check(0, old)
        owner.claim(0)
        with pytest.raises(SupersededError, match=rf"partition 0 belongs to another .*this one's is {old}\)"):
            former.save(0, old, b"zombie")
        with pytest.raises(SupersededError, match=rf"partition 0 belongs to another .*this one's is {old}\)"):
            former.check(0, old)
        assert loaded(owner) == [b"before"]

    def test_who_never_claimed_cannot_save(self, store):
        with pytest.raises(SupersededError):
            store.save(0, 1, b"x")
        assert loaded(store) == []

    def test_a_former_owner_that_saves_all_the_time_is_never_loaded_once_another_has_saved(self, kind):
        former, owner = kind.open(), kind.open()
        old, saves, ended = former.claim(0), itertools.count(), threading.Event()

        def save_until_superseded():
            with contextlib.suppress(SupersededError):
                for n in saves:
                    former.save(0, old, b"former %d" % n)
            ended.set()

        thread = threading.Thread(target=save_until_superseded)
        thread.start()
        while next(saves) < 10:
            time.sleep(0.001)
        new = owner.claim(0)
        owner.save(0, new, b"owner")
        seen = [loaded(owner)[0]]
        assert ended.wait(30)
        thread.join()
        seen += [loaded(owner)[0], loaded(former)[0]]
        assert seen == [b"owner"] * 3


class TestSnapshots:
    def test_there_are_none_at_first(self, store):
        assert loaded(store) == []
        store.claim(0)
        assert loaded(store) == []

    def test_the_newest_come_first_and_no_more_are_kept_than_need_be(self, kind):
        one, two = kind.open(), kind.open()
        saved = []
        for store in (one, two, one):
            generation = store.claim(0)
            for _ in range(KEPT - 1):
                saved.append(b"%d" % len(saved))
                store.save(0, generation, saved[-1])
                assert loaded(one) == loaded(two) == saved[::-1][:KEPT]

    def test_any_bytes_come_back_as_they_were(self, store):
        generation = store.claim(0)
        for data in (b"", bytes(range(256)), b"\x00" * 10, random.Random(1).randbytes(5 << 20)):
            store.save(0, generation, data)
            assert loaded(store)[0] == data

    def test_partitions_groups_and_clusters_are_apart(self, kind):
        places = [(c, g, p) for c in ("c", "d") for g in ("g", "../g", "..", "g/1", "G") for p in (0, 1)]
        for place in places:
            store = kind.open(*place[:2])
            store.save(place[2], store.claim(place[2]), repr(place).encode())
        for place in places:
            assert loaded(kind.open(*place[:2]), place[2]) == [repr(place).encode()]

    def test_each_is_read_only_when_it_is_asked_for(self, kind):
        reader, writer = kind.open(), kind.open()
        generation = writer.claim(0)
        for n in range(KEPT):
            writer.save(0, generation, b"%d" % n)
        found = reader.load(0)
        assert next(found).data == b"2"
        for n in range(KEPT):
            writer.save(0, generation, b"later %d" % n)
        assert list(found) == []  # tidied up meanwhile: no error

    def test_messages_can_name_them_and_the_store(self, store):
        generation = store.claim(7)
        for _ in range(2):
            store.save(7, generation, b"x")
        names = [saved.name for saved in store.load(7)]
        assert len(set(names)) == 2
        assert all(name.startswith(store.where) and "7" in name for name in names)


SAVER = """
import os, sys
from pathlib import Path
from pydantic import SecretStr
from streams.snapshots import PartitionSnapshot, encode, open_store
url, folder, cluster, group, size = sys.argv[1:]
if url:
    import streams.snapshots.postgres  # once, and not after every fork
for first in sys.stdin:
    pid = os.fork()
    if pid:
        os.wait()
        print("ended", flush=True)
        continue
    print(os.getpid(), flush=True)
    store = open_store(SecretStr(url) if url else None, Path(folder), cluster, group)
    generation, n = store.claim(0), int(first)
    while True:
        store.save(0, generation, encode(PartitionSnapshot("risk", 0, {}, {"t": n}, {}, bytes(int(size)))))
        print(n, flush=True)
        n += 1
"""
KILLS = 25


def test_after_a_kill_at_any_moment_what_is_loaded_is_whole_and_the_last_that_was_saved(kind):
    dice, last = random.Random(4), 0
    saver = subprocess.Popen(
        [sys.executable, "-c", SAVER, *kind.arguments(), str(2 << 20)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    try:
        for _ in range(KILLS):
            saver.stdin.write(f"{last + 1}\n")
            pid = int(saver.stdout.readline())
            for _ in range(dice.randint(1, 3)):
                last = int(saver.stdout.readline())
            time.sleep(dice.uniform(0, 0.02))  # a save takes some 10 ms
            os.kill(pid, signal.SIGKILL)
            last = int([last, *iter(saver.stdout.readline, "ended\n")][-1])
            successor = kind.open()
            successor.claim(
                0
            )  # first, as a worker does: a save that is still on its way to a server comes too late then
            found = [decode(data).positions["t"] for data in loaded(successor)]
            assert found[0] in (last, last + 1)  # the one that was under way may be there, whole
            assert found == list(range(found[0], found[0] - len(found), -1))
            assert min(KEPT, found[0]) <= len(found) <= KEPT + 1  # the folder's oldest goes after the newest has come
            last = found[0]
    finally:
        saver.stdin.close()
        saver.stdout.close()
        saver.wait()


class TestFolder:
    """What can happen to files."""

    @pytest.fixture
    def store(self, tmp_path):
        return FolderStore(tmp_path / "state" / "g")

    def test_a_claim_in_the_middle_of_a_save_supersedes_it(self, store, tmp_path, monkeypatch):
        old, replace = store.claim(0), Path.replace

        def claim_first(path, target):
            FolderStore(tmp_path / "state" / "g").claim(0)  # removes what is half written
            return replace(path, target)

        monkeypatch.setattr(Path, "replace", claim_first)
        with pytest.raises(SupersededError, match="partition 0 belongs to another worker now"):
            store.save(0, old, b"zombie")
        assert loaded(store) == []

    def test_they_are_for_their_owner_alone_whatever_the_umask(self, tmp_path):
        store = FolderStore(tmp_path / "state" / "g")
        before = os.umask(0)
        try:
            store.save(3, store.claim(3), b"x")
        finally:
            os.umask(before)
        modes = {p: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "state" / "g" / "3").rglob("*")}
        assert len(modes) == 2
        assert set(modes.values()) == {0o600}
        folders = [tmp_path / "state" / "g" / "3", tmp_path / "state" / "g"]
        assert [stat.S_IMODE(p.stat().st_mode) for p in folders] == [0o700, 0o700]

    def test_a_full_disk_leaves_what_was_there(self, store, tmp_path):
        generation = store.claim(0)
        for n in range(KEPT):
            store.save(0, generation, b"%d" % n)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))  # Python ignores the signal that goes with it
        try:
            with pytest.raises(StoreError, match="cannot be written: File too large; see to the disk's space"):
                store.save(0, generation, bytes(8192))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert loaded(store) == [b"2", b"1", b"0"]
        assert not [p for p in tmp_path.rglob(".*") if p.is_file()]
        store.save(0, generation, b"3")
        assert loaded(store) == [b"3", b"2", b"1"]

    @pytest.mark.skipif(
        sys.platform != "linux" or os.geteuid() != 0, reason="only root on Linux can mount a small disk"
    )
    def test_a_full_file_system_leaves_what_was_there(self, tmp_path):
        disk = tmp_path / "disk"
        disk.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=256k", "m1cep", disk], capture_output=True, check=False
        )
        if mounted.returncode:
            pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
        try:
            store = FolderStore(disk / "g")
            generation = store.claim(0)
            store.save(0, generation, b"kept")
            with pytest.raises(StoreError, match="No space left on device"):
                store.save(0, generation, bytes(1 << 20))
            assert loaded(store) == [b"kept"]
            store.save(0, generation, bytes(64 << 10))
        finally:
            subprocess.run(["umount", "-l", disk], check=True)

    def test_a_folder_that_cannot_be_written_is_said_in_one_line(self, open_folder):
        folder = open_folder()
        store = FolderStore(folder / "g")
        generation = store.claim(0)
        store.save(0, generation, b"kept")
        as_root = os.geteuid() == 0
        for path in (folder / "g", folder / "g" / "0"):
            path.chmod(0o555)
        (file,) = (folder / "g" / "0").glob("*.snapshot")
        file.chmod(0o444)
        if as_root:
            os.seteuid(65534)  # nothing stops root
        try:
            for attempt in (lambda: store.save(0, generation, b"x"), lambda: store.claim(0), lambda: store.claim(1)):
                with pytest.raises(
                    StoreError, match=r"cannot be written: Permission denied; .*M1CEP_STATE_DIR"
                ) as caught:
                    attempt()
                assert "\n" not in str(caught.value)
                assert caught.value.exit_code == 3
            assert loaded(store) == [b"kept"]
        finally:
            if as_root:
                os.seteuid(0)
            for path in (folder / "g", folder / "g" / "0"):
                path.chmod(0o755)

    def test_snapshots_that_were_brought_back_without_their_claim_are_of_former_owners(self, store, tmp_path):
        for _ in range(5):
            generation = store.claim(0)
        store.save(0, generation, b"of before")
        for claim in (tmp_path / "state" / "g" / "0").glob("claim-*"):
            claim.unlink()
        new = store.claim(0, generation)
        store.save(0, new, b"of now")
        assert loaded(store) == [b"of now", b"of before"]
