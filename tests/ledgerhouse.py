"""Databases with a ledger in them, for tests: each its own, on a shared PostgreSQL."""

import json
from functools import partial
from typing import NamedTuple

import psycopg
from kafka import TopicPartition
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from m1cep.ledger import parse_chart
from m1cep.ledger.events import account_postings, fill_postings
from streams.config import load_settings
from streams.ledger import connections
from streams.ledger.bookkeeper import Bookkeeper
from streams.ledger.schema import HEAD, migrate, register_assets
from streams.ledger.shard import Place, Shard

URLS = {"db_write_url": "m1cep_ledger", "db_read_url": "m1cep_risk", "db_owner_url": "m1cep_owner"}
ROLES = ("m1cep_owner", "m1cep_ledger", "m1cep_risk")
CHART = parse_chart(
    {
        "assets": {"USD": 8, "BTC": 8, "ETH": 18, "bitcoin:regtest/BTC": 8},
        "accounts": {"overdraft": ["client/desk-*"]},
    }
)
FILLS, ACCOUNTS = "m1cep.fills.v1", "m1cep.accounts.v1"
MAKERS = {FILLS: fill_postings, ACCOUNTS: account_postings}
START_MS = 1_700_000_000_000
TABLES = [
    f"ledger.{name}_v1" for name in ("accounts", "assets", "postings", "transfers", "holds", "waiting", "positions")
]


_made = set()  # of (port, name)


class Database:
    """A database with an empty ledger; ``shards`` of them make one. Of one number it is the same one, emptied: making many
    databases, and with them ending their server, takes minutes on a slow disk."""

    def __init__(self, postgres, shards=1, number=0):
        self.postgres = postgres
        self.names = [f"ledger_{n}" for n in range(number, number + shards)]
        for name in self.names:
            if (postgres.port, name) not in _made:
                self._make(name)
                _made.add((postgres.port, name))
        for shard in range(shards):
            with self.as_admin(shard) as admin:
                admin.execute(f"TRUNCATE {', '.join(TABLES)}")
                admin.execute("UPDATE ledger.schema_version SET version_num = %s", [HEAD])
                admin.execute("UPDATE ledger.shard_v1 SET number = %s, count = %s", [shard, shards])

    def _make(self, name):
        with psycopg.connect(self.postgres.url.get_secret_value(), autocommit=True) as admin:
            for role in ROLES:
                if not admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
                    admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'open-{role}'")
            admin.execute(f"CREATE DATABASE {name} OWNER m1cep_owner")
            admin.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
            admin.execute(f"GRANT CONNECT ON DATABASE {name} TO m1cep_ledger, m1cep_risk")
        names, self.names = self.names, [name]
        with self.as_admin() as admin:  # anybody may write with this, unless told otherwise
            admin.execute("REVOKE EXECUTE ON FUNCTION lo_create(oid) FROM PUBLIC")
        (owner,) = connections.owners(self.settings)
        migrate(owner)
        self.names = names

    def url(self, role):
        at = f"127.0.0.1:{self.postgres.port}"
        one = f"postgresql://{role}:open-{role}@{at}/{{}}?target_session_attrs=any"  # the primary is all there is
        return " ".join(one.format(name) for name in self.names)

    @property
    def env(self):
        return {
            "M1CEP_DB_WRITE_URL": self.url("m1cep_ledger"),
            "M1CEP_DB_READ_URL": self.url("m1cep_risk"),
            "M1CEP_DB_OWNER_URL": self.url("m1cep_owner"),
        }

    @property
    def settings(self):
        names = {name: SecretStr(self.url(role)) for name, role in URLS.items()}
        return load_settings(**names)

    @property
    def writers(self):
        return connections.writers(self.settings)

    @property
    def readers(self):
        return connections.readers(self.settings)

    def shards(self, chart=CHART, remake=None):
        remake = remake or readers(chart)
        found = [Shard(connect, chart, number, remake) for number, connect in enumerate(self.writers)]
        for shard in found:
            register_assets(shard.connection, dict(chart.decimals))
        return found

    def as_admin(self, number=0):
        """A connection of the superuser, who may do anything."""
        admin = conninfo_to_dict(self.postgres.url.get_secret_value()) | {"dbname": self.names[number]}
        return psycopg.connect(**admin, autocommit=True)


def readers(chart):
    return lambda record: MAKERS[record.topic](record.value, chart)


def fill(n, *, account="desk-1", side="buy", price="64000.5", qty="0.001", fee="0.064", **more):
    event = {"event_id": f"f{n}", "account": account, "order_id": f"o{n}", "trade_id": f"t{n}", "symbol": "BTC-USD"}
    return event | {"side": side, "price": price, "qty": qty, "fee": fee, "ts": START_MS + n} | more


def account_event(n, kind, *, account="alice", asset="USD", amount="100", **more):
    event = {"event_id": f"a{n}", "account": account, "kind": kind, "asset": asset, "amount": amount}
    return event | {"ts": START_MS + n} | more


def raw(event):
    return json.dumps(event).encode()


class Topic:
    """Records of topics as the broker would give them, in memory."""

    def __init__(self):
        self.logs = {TopicPartition(topic, number): [] for topic in (FILLS, ACCOUNTS) for number in (0, 1)}
        self.places = {tp: Place("cluster", tp.topic, "id", tp.partition) for tp in self.logs}

    def add(self, topic, *events, partition=0):
        log = self.logs[TopicPartition(topic, partition)]
        for event in events:
            value = event if isinstance(event, bytes) or event is None else raw(event)
            log.append(Heard(len(log), 1_000 + len(log), b"k", value))

    def after(self, positions, most=1_000):
        """What the consumer reads on, at most so many of each partition."""
        found = {tp: log[positions[tp] : positions[tp] + most] for tp, log in self.logs.items()}
        return {tp: records for tp, records in found.items() if records}


class Heard(NamedTuple):
    offset: int
    timestamp: int
    key: bytes
    value: bytes | None


class Keeper:
    """A bookkeeper as its agent runs it, over a ``Topic``; started again it goes on where the books end."""

    def __init__(self, database, topic, chart=CHART, **options):
        self.topic, self.letters = topic, []
        makers = {name: partial(make, chart=chart) for name, make in options.pop("makers", MAKERS).items()}
        self.shards = database.shards(chart, lambda record: makers[record.topic](record.value))
        tell = options.pop("tell", self.letters.extend)
        self.books = Bookkeeper(self.shards, makers, topic.places, tell, now_ms=lambda: START_MS * 2, **options)

    def run(self, most=1_000):
        """Book all that there is."""
        positions = self.books.open()
        while found := self.topic.after(positions, most):
            self.books.book(found)
            positions = {tp: found[tp][-1].offset + 1 if tp in found else at for tp, at in positions.items()}
        return self

    def reasons(self):
        """Why there are dead letters, in their order."""
        return [json.loads(letter.value)["reason"].partition(":")[0] for letter in self.letters]

    def close(self):
        for shard in self.shards:
            shard.disconnect()
