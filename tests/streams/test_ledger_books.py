"""The ledger's books in PostgreSQL: exactly once, whatever crashes; refusals; who may do what. No broker: records in memory."""

import json
import random
from contextlib import contextmanager
from decimal import Decimal

import psycopg
import pytest
from ledgerhouse import ACCOUNTS, CHART, FILLS, MAKERS, Database, Keeper, Topic, account_event, fill, raw
from psycopg.errors import CheckViolation, ForeignKeyViolation, InsufficientPrivilege, UniqueViolation

from m1cep.errors import LedgerError
from m1cep.ledger import Books, Chart, parse_chart
from m1cep.ledger.events import account_postings
from streams.errors import ServerError, UsageError
from streams.ledger import reports
from streams.ledger.access import writes_that_succeed
from streams.ledger.router import shard_of
from streams.ledger.schema import check_schema, migrate, register_assets, unlike_chart
from streams.ledger.shard import MovedError


@pytest.fixture
def database(postgres):
    return Database(postgres)


@pytest.fixture
def topic():
    return Topic()


@pytest.fixture
def keeper(database, topic):
    made = []

    def make(**options):
        made.append(Keeper(options.pop("database", database), topic, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def balances(database, owner="alice"):
    return {row["asset"]: (row["balance"], row["held"]) for row in reports.balances(database.readers, owner=owner)}


def balanced(database):
    return reports.faults(database.readers) == []


def postings(database):
    return reports.counts(database.readers)["postings"]


def clients(n):
    """Names for which both of two shards have some."""
    return [f"desk-{i}" for i in range(n)]


# -- what is booked


def test_fills_deposits_and_withdrawals_are_in_the_books(database, topic, keeper):
    topic.add(ACCOUNTS, account_event(1, "deposit", amount="1000"), account_event(2, "login"))
    topic.add(FILLS, fill(3, account="alice", price="500", qty="0.5", fee="0.25"))
    topic.add(ACCOUNTS, account_event(4, "withdrawal_requested", request_id="r", amount="700"))
    keeper().run()
    assert balances(database) == {"BTC": ("0.50000000", "0.00000000"), "USD": ("749.75000000", "700.00000000")}
    topic.add(ACCOUNTS, account_event(5, "withdrawal", request_id="r", amount="600"))
    keeper().run()
    assert balances(database)["USD"] == ("149.75000000", "0.00000000")
    assert balances(database, "platform")["USD"] != {}
    assert balanced(database)
    assert postings(database) == 4


def test_a_statement_says_what_happened_and_the_balance_after_it(database, topic, keeper):
    topic.add(ACCOUNTS, account_event(1, "deposit"), account_event(2, "withdrawal", amount="30"))
    keeper().run()
    lines = reports.statement(database.readers, "alice")
    assert [(one["kind"], one["amount"], one["balance"], one["source"]) for one in lines] == [
        ("deposit", "100.00000000", "100.00000000", f"{ACCOUNTS}/0/0"),
        ("withdrawal", "-30.00000000", "70.00000000", f"{ACCOUNTS}/0/1"),
    ]
    assert [one["kind"] for one in reports.statement(database.readers, "alice", limit=1)] == ["withdrawal"]


def test_holds_end_when_event_time_is_a_minute_beyond_them(database, topic, keeper):
    week_ms = 7 * 86_400_000
    topic.add(ACCOUNTS, account_event(0, "deposit"))
    topic.add(ACCOUNTS, account_event(1, "withdrawal_requested", request_id="r", amount="40"))
    topic.add(FILLS, fill(week_ms + 60_000))  # a millisecond early
    keeper().run()
    assert balances(database)["USD"] == ("100.00000000", "40.00000000")
    topic.add(FILLS, fill(week_ms + 60_001))
    keeper().run()
    assert balances(database)["USD"] == ("100.00000000", "0.00000000")
    assert balanced(database)


def test_how_a_hold_ended_is_remembered_by_the_database(database, topic, keeper):
    request = {"request_id": "r", "amount": "40"}
    topic.add(ACCOUNTS, account_event(0, "deposit"), account_event(3, "withdrawal", **request))
    keeper().run()
    topic.add(ACCOUNTS, account_event(1, "withdrawal_requested", **request))  # read late: holds nothing any more
    keeper().run()
    assert balances(database)["USD"] == ("60.00000000", "0.00000000")
    topic.add(ACCOUNTS, account_event(4, "withdrawal_rejected", **request))
    assert keeper().run().reasons() == ["already_settled"]
    assert balances(database)["USD"] == ("60.00000000", "0.00000000")
    assert balanced(database)


def test_an_event_from_the_far_future_ends_no_holds(database, topic, keeper):
    topic.add(
        ACCOUNTS, account_event(0, "deposit"), account_event(1, "withdrawal_requested", request_id="r", amount="40")
    )
    one = keeper()
    one.books._now_ms = lambda: account_event(2, "deposit")["ts"]
    topic.add(FILLS, fill(3, ts=2**53 - 1))
    one.run()
    assert balances(database)["USD"] == ("100.00000000", "40.00000000")


# -- what waits


def test_a_fill_that_is_read_before_its_deposit_waits_for_it_also_over_a_restart(database, topic, keeper):
    topic.add(FILLS, fill(2, account="alice", price="50000", qty="0.001", fee=None))
    one = keeper().run()
    assert balances(database) == {}
    assert one.books.tally.waiting == 1
    one.close()
    topic.add(ACCOUNTS, account_event(1, "deposit", amount="50"))
    keeper().run()
    assert balances(database) == {"BTC": ("0.00100000", "0.00000000"), "USD": ("0.00000000", "0.00000000")}
    assert balanced(database)


@pytest.mark.parametrize(
    ("patterns", "told"),
    [
        (("client/desk-*",), set()),
        ((), {"desk-1"}),
        (("vault/*",), {"desk-1"}),
        (("client/*",), {"desk_2", "a%"}),
        (("client/desk_*", "client/desk-*"), {"desk_2"}),
        (("client/desk[-_]?",), {"desk_2"}),
        (("client/a%",), {"desk-1", "a%"}),
    ],
)
def test_accounts_that_another_chart_would_have_opened_otherwise_are_told(database, topic, keeper, patterns, told):
    names = enumerate(("desk-1", "desk_2", "a%"))
    topic.add(ACCOUNTS, *(account_event(n, "deposit", account=name) for n, name in names))
    keeper().run()
    chart, found = Chart(CHART.decimals, CHART.markets, patterns), []
    for connect in database.writers:
        with connect() as connection:
            found += unlike_chart(connection, chart)
    assert {name.split("/")[1] for name in found} == told


def test_what_waits_for_too_long_is_a_dead_letter(database, topic, keeper):
    topic.add(ACCOUNTS, account_event(0, "withdrawal", amount="5"))
    one = keeper().run()
    assert one.letters == []
    topic.add(FILLS, fill(11 * 60_000))
    one.run()
    assert one.reasons() == ["exceeds_credits"]
    topic.add(ACCOUNTS, account_event(11 * 60_000, "deposit"))
    one.run()
    assert balances(database)["USD"] == ("100.00000000", "0.00000000")


def test_what_waits_and_cannot_be_made_again_is_a_dead_letter_and_keeps_nobody_from_going_on(database, topic, keeper):
    """Somebody took the asset out of the chart, or the topic out of what is read, while a posting waited for funds."""
    topic.add(ACCOUNTS, account_event(0, "withdrawal", amount="5", asset="ETH"))
    topic.add(FILLS, fill(1, account="alice", price="50000", qty="0.001", fee=None))
    keeper().run()
    assets = {"assets": {"USD": 8, "BTC": 8}, "accounts": {"overdraft": ["client/desk-*"]}}
    again = keeper(chart=parse_chart(assets), makers={ACCOUNTS: account_postings})
    topic.add(ACCOUNTS, account_event(2, "deposit"))
    again.run()
    reasons = sorted(json.loads(letter.value)["reason"] for letter in again.letters)
    assert [reason.partition(":")[0] for reason in reasons] == ["not_remade", "not_remade"]
    assert "accounts/a0 has waited for funds, and now" in reasons[0]
    assert "ETH" in reasons[0]
    assert "nothing here makes it of m1cep.fills.v1/0/0" in reasons[1]
    assert balances(database)["USD"] == ("100.00000000", "0.00000000")
    assert keeper().run().letters == []


def test_a_restart_does_not_set_the_time_back(topic, keeper):
    topic.add(FILLS, fill(11 * 60_000))
    keeper().run()
    topic.add(ACCOUNTS, account_event(0, "withdrawal", amount="5"))
    assert keeper().run().reasons() == ["exceeds_credits"], "it has waited long enough"


def test_a_long_backlog_of_one_topic_makes_nothing_give_up_for_which_another_has_the_money(database, topic, keeper):
    topic.add(FILLS, fill(2, account="alice", price="50000", qty="0.001", fee=None), fill(60 * 60_000))
    topic.add(ACCOUNTS, account_event(1, "deposit", amount="50"))
    one = keeper()
    found = topic.after(one.books.open())
    fills = {tp: records for tp, records in found.items() if tp.topic == FILLS}
    unread = {tp: records for tp, records in found.items() if tp.topic == ACCOUNTS}
    one.books.book(fills, behind=unread)
    one.books.book(unread)
    assert one.reasons() == []
    assert balances(database) == {"BTC": ("0.00100000", "0.00000000"), "USD": ("0.00000000", "0.00000000")}


def test_what_waits_is_not_put_aside_twice(database, topic, keeper):
    waits = account_event(0, "withdrawal", amount="5")
    topic.add(ACCOUNTS, waits, waits)
    one = keeper().run(most=1)
    topic.add(ACCOUNTS, {**waits, "amount": "6"})
    one.run()
    assert one.reasons() == ["id_reused"]
    topic.add(ACCOUNTS, account_event(1, "deposit"))
    one.run()
    assert balances(database)["USD"] == ("95.00000000", "0.00000000")


# -- what is refused


def test_what_cannot_be_booked_is_a_dead_letter_and_its_neighbours_are_not(database, topic, keeper):
    topic.add(
        ACCOUNTS,
        account_event(1, "deposit"),
        account_event(2, "deposit", asset="GOLD"),
        account_event(3, "deposit", amount="1e28"),
        account_event(4, "deposit", amount="0.000000001"),
        account_event(1, "deposit", amount="101"),
        b"{",
        None,
        account_event(5, "deposit"),
    )
    one = keeper().run()
    assert sorted(one.reasons()) == [
        *("bad_amount", "bad_event", "bad_event", "id_reused", "overflows_amount", "unknown_asset"),
    ]
    assert balances(database)["USD"] == ("200.00000000", "0.00000000")
    assert sum(one.books.tally.refused.values()) == 6
    assert {"GOLD"} != {row["asset"] for row in reports.balances(database.readers)}
    assert balanced(database)


def test_an_account_that_would_overflow_refuses_and_stays_as_it_is(database, topic, keeper):
    most = "792281625142643375935.43950335"
    topic.add(ACCOUNTS, *(account_event(n, "deposit", account="desk-1", amount=most) for n in range(3)))
    keeper().run()
    with database.as_admin() as admin:
        admin.execute("UPDATE ledger.accounts_v1 SET credits_posted = 2::numeric ^ 127 - 1 WHERE kind = 'client'")
    topic.add(ACCOUNTS, account_event(9, "deposit", account="desk-1", amount="0.00000001"))
    assert keeper().run().reasons() == ["overflows_credits_posted"]


# -- once, whatever happens


def test_repeated_events_count_once_wherever_they_come_again(database, topic, keeper):
    events = [fill(n) for n in range(20)]
    topic.add(FILLS, *events, *events[:10])
    topic.add(FILLS, *events, partition=1)
    one = keeper().run(most=7)
    assert postings(database) == 20
    assert one.books.tally.seen == 30
    assert balanced(database)


def test_an_agent_that_ends_between_batches_goes_on_where_it_was(database, topic, keeper):
    topic.add(FILLS, *(fill(n) for n in range(10)))
    one = keeper()
    one.books.open()
    one.books.book(topic.after(dict.fromkeys(topic.logs, 0), most=4))
    one.close()
    again = keeper().run()
    assert again.books.tally.posted == 6
    assert postings(database) == 10


def test_nothing_is_booked_when_the_dead_letters_do_not_leave(database, topic, keeper):
    topic.add(ACCOUNTS, account_event(1, "deposit"), b"{")

    def no_broker(_):
        raise ServerError("the broker is away")

    with pytest.raises(ServerError, match="the broker is away"):
        keeper(tell=no_broker).run()
    assert postings(database) == 0
    assert keeper().run().reasons() == ["bad_event"]
    assert postings(database) == 1


def cut(shard, when):
    """The next transaction of a shard loses its connection: before it is committed, or after, when nobody knows."""
    writing = shard.writing

    @contextmanager
    def lost():
        shard.writing = writing
        with writing() as batch:
            yield batch
            if when == "before":
                shard.connection.close()
                raise psycopg.OperationalError("the connection was lost")
        shard.disconnect()
        raise psycopg.OperationalError("the connection was lost")

    shard.writing = lost


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_connection_that_is_lost_around_the_commit_loses_and_doubles_nothing(database, topic, keeper, when):
    topic.add(FILLS, *(fill(n) for n in range(10)))
    one = keeper()
    one.books.open()
    cut(one.shards[0], when)
    one.run(most=3)
    assert one.books.tally.lost == 1
    assert postings(database) == 10
    assert balanced(database)


def test_a_backend_that_is_killed_in_the_middle_is_survived(database, topic, keeper):
    topic.add(FILLS, *(fill(n) for n in range(10)))
    topic.add(ACCOUNTS, b"{")
    killed = []

    def kill(_letters):  # called with everything written and nothing committed
        if not killed:
            with database.as_admin() as admin:
                killed.append(
                    admin.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                        "AND usename = 'm1cep_ledger' AND state = 'idle in transaction'"
                    ).fetchall()
                )

    keeper(tell=kill).run()
    assert killed == [[(True,)]]
    assert postings(database) == 10
    assert balanced(database)


def test_of_two_agents_the_one_that_comes_late_ends_and_nothing_is_doubled(database, topic, keeper):
    topic.add(FILLS, *(fill(n) for n in range(10)))
    first, second = keeper(), keeper()
    positions = first.books.open()
    second.books.open()
    second.books.book(topic.after(positions, most=6))
    with pytest.raises(MovedError):
        first.books.book(topic.after(positions))
    second.run()
    assert postings(database) == 10
    assert balanced(database)


def test_a_database_that_stays_away_ends_the_agent(topic, keeper):
    topic.add(FILLS, fill(1))
    one = keeper(patience_s=0.3)
    one.books.open()

    def refuses():
        raise psycopg.OperationalError("connection refused")

    one.shards[0].disconnect()
    one.shards[0]._connect = refuses
    with pytest.raises(ServerError, match="connection refused"):
        one.books.book(topic.after(dict.fromkeys(topic.logs, 0)))


def life(rng):
    """What happens to clients who at any time have what they spend; in its order, as (topic, event)."""
    have = {(owner, asset): 0 for owner in OWNERS for asset in ("USD", "BTC")}
    happened, asked = [], []
    for n in range(60):
        owner, asset = rng.choice(OWNERS), rng.choice(["USD", "BTC"])
        other = "BTC" if asset == "USD" else "USD"
        rest, what = have[owner, asset], rng.choice(["deposit", "withdrawal", "fill", "ask", "pay", "refuse"])
        amount = rng.randint(1, rest) if rest else 0
        if what == "deposit":
            amount = rng.randint(1, 20)
            have[owner, asset] += amount
            happened.append((ACCOUNTS, account_event(n, "deposit", account=owner, asset=asset, amount=amount)))
        elif what == "fill" and amount:  # one for one
            have[owner, asset] -= amount
            have[owner, other] += amount
            side = "buy" if other == "BTC" else "sell"
            happened.append((FILLS, fill(n, account=owner, side=side, price=1, qty=amount, fee=None)))
        elif what in {"withdrawal", "ask"} and amount:
            have[owner, asset] -= amount
            request = {} if what == "withdrawal" else {"request_id": f"r{n}"}
            event = {"account": owner, "asset": asset, "amount": amount, **request}
            kind = "withdrawal" if what == "withdrawal" else "withdrawal_requested"
            happened.append((ACCOUNTS, account_event(n, kind, **event)))
            asked += [event] if request else []
        elif what in {"pay", "refuse"} and asked:
            event = asked.pop(rng.randrange(len(asked)))
            have[event["account"], event["asset"]] += event["amount"] * (what == "refuse")
            happened.append(
                (ACCOUNTS, account_event(n, "withdrawal" if what == "pay" else "withdrawal_rejected", **event))
            )
    return happened


OWNERS = ("alice", "bob")


@pytest.mark.parametrize("seed", range(8))
def test_random_lives_with_repetitions_crashes_and_lost_connections_end_in_the_same_books(
    postgres, topic, keeper, seed
):
    rng = random.Random(seed)
    database = Database(postgres, shards=1 + seed % 2)
    happened, books = life(rng), Books(CHART)
    for name, event in happened:
        for posting in MAKERS[name](raw(event), CHART):
            books.post(posting)
        topic.add(name, event, partition=OWNERS.index(event["account"]))
        if rng.random() < 0.2:
            again, one = rng.choice(happened[: happened.index((name, event)) + 1])
            topic.add(again, one, partition=OWNERS.index(one["account"]))
    one, positions = None, {}
    while one is None or topic.after(positions):
        if one is None or rng.random() < 0.2:
            if one is not None:
                one.close()
            one = keeper(database=database)
            positions = one.books.open()
        if rng.random() < 0.3:
            cut(rng.choice(one.shards), rng.choice(["before", "after"]))
        # Some of one partition or of several: topics are read at any speed.
        found = topic.after(positions, rng.randint(1, 9))
        found = {tp: found[tp] for tp in rng.sample(sorted(found), rng.randint(1, len(found)))} if found else found
        if found:
            one.books.book(found)
        positions = {tp: found[tp][-1].offset + 1 if tp in found else at for tp, at in positions.items()}
    assert one.letters == []
    assert balanced(database)
    assert reports.counts(database.readers)["waiting"] == 0
    found = {(row["kind"], row["owner"], row["asset"]): row for row in reports.balances(database.readers)}
    for key, account in books.accounts.items():
        row = found.pop(tuple(key), {"debits_units": "0", "credits_units": "0", "held": "0"})
        assert (int(row["debits_units"]), int(row["credits_units"])) == (account.debits_posted, account.credits_posted)
        if key.kind == "client":
            assert int(Decimal(row["held"]) * 10**8) == account.debits_pending
    assert all(row["debits_units"] == row["credits_units"] == "0" for row in found.values())


# -- shards


def test_accounts_are_spread_over_shards_and_each_is_on_one(postgres, topic, keeper):
    database = Database(postgres, shards=2)
    names = clients(30)
    topic.add(FILLS, *(fill(n, account=name) for n, name in enumerate(names)))
    keeper(database=database).run()
    for number, connect in enumerate(database.readers):
        here = {row["owner"] for row in reports.balances([connect], kind="client")}
        assert here == {name for name in names if shard_of(name, 2) == number} != set()
    assert postings(database) == 30
    assert balanced(database)
    assert reports.statement(database.readers, names[3])[0]["posting"] == "fills/f3"


def test_a_crash_between_two_shards_books_each_event_once(postgres, topic, keeper):
    database = Database(postgres, shards=2)
    topic.add(FILLS, *(fill(n, account=name) for n, name in enumerate(clients(30))))
    one = keeper(database=database, patience_s=0)

    def refuses():
        raise psycopg.OperationalError("connection refused")

    one.books.open()
    one.shards[1].writing = refuses
    with pytest.raises(ServerError):
        one.books.book(topic.after(dict.fromkeys(topic.logs, 0)))
    first = reports.counts(database.readers[:1])["postings"]
    assert 0 < first < 30
    keeper(database=database).run()
    assert reports.counts(database.readers[:1])["postings"] == first
    assert postings(database) == 30
    assert balanced(database)


@pytest.mark.parametrize("at_once", [True, False])
def test_an_id_that_was_used_on_another_shard_is_refused(postgres, topic, keeper, at_once):
    database = Database(postgres, shards=2)
    here, there = (next(name for name in clients(30) if shard_of(name, 2) == shard) for shard in (0, 1))
    topic.add(FILLS, fill(1, account=there))
    one = keeper(database=database)
    if not at_once:
        one.run()
    topic.add(FILLS, fill(1, account=here), fill(2, account=here))
    topic.add(ACCOUNTS, account_event(7, "withdrawal", account="carol"), account_event(7, "deposit", account=there))
    one.run()
    again = keeper(database=database).run()  # repetitions of what is booked are none
    topic.add(FILLS, fill(1, account=there if not at_once else here), partition=1)
    again.run()
    assert one.reasons() == ["id_reused", "id_reused"]
    assert again.letters == []
    assert postings(database) == 2
    assert balanced(database)


# -- the database as a guard


SOME = (
    account_event(1, "deposit"),
    account_event(2, "withdrawal_requested", request_id="r", amount="40"),
    fill(3),
)


@pytest.fixture
def booked(database, topic, keeper):
    topic.add(ACCOUNTS, *SOME[:2])
    topic.add(FILLS, SOME[2])
    keeper().run()
    return database


HISTORY = ("ledger.postings_v1", "ledger.transfers_v1")


@pytest.fixture(scope="module")
def untouched(postgres):
    """One with something in it, for tests that change nothing."""
    topic, database = Topic(), Database(postgres, number=2)
    topic.add(ACCOUNTS, *SOME[:2])
    topic.add(FILLS, SOME[2])
    Keeper(database, topic).run().close()
    yield database
    assert balanced(database)


@pytest.mark.parametrize(
    "statement",
    [
        *(f"{what} {table}" for table in HISTORY for what in ("DELETE FROM", "TRUNCATE", "DROP TABLE")),
        "UPDATE ledger.postings_v1 SET kind = 'x'",
        "UPDATE ledger.transfers_v1 SET units = 1",
        "UPDATE ledger.accounts_v1 SET overdraft = true",
        "UPDATE ledger.assets_v1 SET decimals = 2",
        "DELETE FROM ledger.accounts_v1",
        "DELETE FROM ledger.positions_v1",
        "UPDATE ledger.shard_v1 SET count = 2",
        "ALTER TABLE ledger.transfers_v1 DISABLE TRIGGER ALL",
    ],
)
def test_not_even_the_agent_can_change_history_or_its_rules(untouched, statement):
    with untouched.writers[0]() as writer, pytest.raises(InsufficientPrivilege):
        writer.execute(statement)


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        # from dollars to bitcoin
        (
            """INSERT INTO ledger.transfers_v1 (posting, leg, mode, debit, credit, asset, units)
            SELECT 'accounts/a1', 7, 'posted', d.id, c.id, 'USD', 1 FROM ledger.accounts_v1 d, ledger.accounts_v1 c
            WHERE d.kind = 'client' AND d.asset = 'USD' AND c.kind = 'client' AND c.asset = 'BTC' LIMIT 1""",
            ForeignKeyViolation,
        ),
        ("UPDATE ledger.accounts_v1 SET debits_posted = credits_posted + 1 WHERE owner = 'alice'", CheckViolation),
        ("UPDATE ledger.accounts_v1 SET credits_posted = 2::numeric ^ 127", CheckViolation),
        (
            "INSERT INTO ledger.accounts_v1 SELECT gen_random_uuid(), 'client', 'x', 'GOLD', false, 0, 0, 0, 0",
            ForeignKeyViolation,
        ),
        (
            (
                "INSERT INTO ledger.postings_v1 (id, kind, owner, how, time_ms, digest, source) "
                "SELECT id, kind, owner, how, time_ms, digest, source FROM ledger.postings_v1"
            ),
            UniqueViolation,
        ),
        (
            (
                "INSERT INTO ledger.postings_v1 (id, kind, owner, how, time_ms, digest, ends, source) "
                "SELECT n, 'x', 'x', 'release', 0, sha256('')::bytea, 'request/alice/r', '' FROM unnest(ARRAY['n1', 'n2']) n"
            ),
            CheckViolation,
        ),
        (
            (
                "INSERT INTO ledger.postings_v1 (id, kind, owner, how, time_ms, digest, ends, source) "
                "SELECT n, 'x', 'x', 'release', 0, uuid_send(gen_random_uuid()), 'request/alice/r', '' "
                "FROM unnest(ARRAY['n1', 'n2']) n"
            ),
            UniqueViolation,
        ),
    ],
)
def test_the_database_refuses_what_no_books_can_hold(untouched, statement, error):
    with untouched.writers[0]() as writer, pytest.raises(error):
        writer.execute(statement)


def test_risk_reads_and_cannot_write_by_any_way_that_was_tried(untouched):
    assert balances(untouched) != {}
    settings = untouched.settings
    assert writes_that_succeed(settings.db_read_url, settings.db_write_url) == []


def test_the_ways_that_are_tried_do_write_when_nothing_stands_in_the_way(booked):
    settings = booked.settings
    with booked.as_admin() as admin:
        admin.execute("GRANT UPDATE ON ledger.accounts_v1 TO m1cep_risk")
    assert {one.partition(" ")[0] for one in writes_that_succeed(settings.db_read_url, settings.db_write_url)} == {
        "UPDATE"
    }
    assert balanced(booked)  # rolled back
    with booked.as_admin() as admin:
        admin.execute("REVOKE UPDATE ON ledger.accounts_v1 FROM m1cep_risk")


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE ledger.accounts_v1 SET credits_posted = credits_posted + 1 WHERE owner = 'alice'",
        "UPDATE ledger.accounts_v1 SET credits_posted = credits_posted + 1, debits_posted = debits_posted + 1",
        "UPDATE ledger.transfers_v1 SET units = units + 1",
        "DELETE FROM ledger.transfers_v1 WHERE mode = 'pending'",
        "DELETE FROM ledger.holds_v1",
        "UPDATE ledger.accounts_v1 SET debits_pending = debits_pending - 1 WHERE owner = 'alice' AND asset = 'USD'",
    ],
)
def test_books_that_were_tampered_with_do_not_balance(booked, tampering):
    with booked.as_admin() as admin:
        admin.execute(tampering)
    assert not balanced(booked)


# -- the schema


def test_migrations_may_be_run_again_and_are_for_one_shard(booked):
    from streams.ledger import connections

    (owner,) = connections.owners(booked.settings)
    migrate(owner)
    assert balances(booked) != {}
    with pytest.raises(UsageError, match="shard 0 of 1"):
        migrate(owner, 1, 2)
    with booked.writers[0]() as writer, pytest.raises(UsageError, match="shard 0 of 1"):
        check_schema(writer, 0, 2)


def test_a_database_without_a_ledger_or_with_a_newer_one_is_not_used(database, postgres):
    nothing = psycopg.connect(postgres.url.get_secret_value(), autocommit=True)
    with nothing, pytest.raises(ServerError, match="m1cep ledger migrate"):
        check_schema(nothing)
    with database.as_admin() as admin:
        admin.execute("UPDATE ledger.schema_version SET version_num = '9999'")
    with database.writers[0]() as writer, pytest.raises(ServerError, match="9999"):
        check_schema(writer)


def test_the_decimals_of_an_asset_cannot_change_once_it_is_known(database):
    with database.writers[0]() as writer:
        register_assets(writer, dict(CHART.decimals))
        with pytest.raises(LedgerError, match="USD: the books keep it with 8 decimals, the chart says 2"):
            register_assets(writer, dict(Chart({"USD": 2}).decimals))
