"""Databases with a ledger in them, for tests: each its own, on a shared PostgreSQL."""

import itertools
import json

import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from m1cep.ledger import parse_chart
from m1cep.ledger.events import account_postings, fill_postings
from streams.ledger.connections import OWNER, READ, WRITE, connectors
from streams.ledger.schema import migrate, register_assets
from streams.ledger.shard import Shard

ROLES = ("m1cep_owner", "m1cep_ledger", "m1cep_risk")
CHART = parse_chart(
    {
        "assets": {"USD": 8, "BTC": 8, "ETH": 18, "bitcoin:regtest/BTC": 8},
        "accounts": {"overdraft": ["client/desk-*"]},
    }
)
FILLS, ACCOUNTS = "m1cep.fills.v1", "m1cep.accounts.v1"
START_MS = 1_700_000_000_000
_numbers = itertools.count()


class Database:
    """A database with the ledger's schema; ``shards`` of them make one ledger."""

    def __init__(self, postgres, shards=1):
        self.postgres = postgres
        self.names = names = [f"ledger_{next(_numbers)}" for _ in range(shards)]
        with psycopg.connect(postgres.url.get_secret_value(), autocommit=True) as admin:
            for role in ROLES:
                if not admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
                    admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'open-{role}'")
            for name in names:
                admin.execute(f"CREATE DATABASE {name} OWNER m1cep_owner")
                admin.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
                admin.execute(f"GRANT CONNECT ON DATABASE {name} TO m1cep_ledger, m1cep_risk")
        for number in range(shards):
            with self.as_admin(number) as admin:  # anybody may write with these, unless told otherwise
                admin.execute("REVOKE EXECUTE ON FUNCTION lo_create(oid) FROM PUBLIC")
        for number, connect in enumerate(connectors(self.url("m1cep_owner"), OWNER)):
            migrate(connect, number, shards)

    def url(self, role):
        at = f"127.0.0.1:{self.postgres.port}"
        return SecretStr(" ".join(f"postgresql://{role}:open-{role}@{at}/{name}" for name in self.names))

    @property
    def write_url(self):
        return self.url("m1cep_ledger")

    @property
    def read_url(self):
        return self.url("m1cep_risk")

    @property
    def writers(self):
        return connectors(self.write_url, WRITE)

    @property
    def readers(self):
        return connectors(self.read_url, READ)

    def shards(self, chart=CHART):
        found = [Shard(connect, chart, number, readers(chart)) for number, connect in enumerate(self.writers)]
        for shard in found:
            register_assets(shard.connection, dict(chart.decimals))
        return found

    def as_admin(self, number=0):
        """A connection of the superuser, who may do anything."""
        admin = conninfo_to_dict(self.postgres.url.get_secret_value()) | {"dbname": self.names[number]}
        return psycopg.connect(**admin, autocommit=True)


def readers(chart):
    makers = {FILLS: fill_postings, ACCOUNTS: account_postings}
    return lambda record: makers[record.topic](record.value, chart)


def fill(n, *, account="desk-1", side="buy", price="64000.5", qty="0.001", fee="0.064", **more):
    event = {"event_id": f"f{n}", "account": account, "order_id": f"o{n}", "trade_id": f"t{n}", "symbol": "BTC-USD"}
    return event | {"side": side, "price": price, "qty": qty, "fee": fee, "ts": START_MS + n} | more


def account_event(n, kind, *, account="alice", asset="USD", amount="100", **more):
    event = {"event_id": f"a{n}", "account": account, "kind": kind, "asset": asset, "amount": amount}
    return event | {"ts": START_MS + n} | more


def raw(event):
    return json.dumps(event).encode()
