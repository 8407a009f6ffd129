"""The role that reads cannot write: not on the replica, not on the primary, whatever it tries."""

import subprocess

import psycopg
import pytest

from streams.database import roles
from streams.database.connection import connect

SCHEMA = "roles_test"
MAKE = f"""
DROP SCHEMA IF EXISTS {SCHEMA} CASCADE;
CREATE SCHEMA {SCHEMA};
CREATE TABLE {SCHEMA}.kept (n int PRIMARY KEY, note text);
CREATE SEQUENCE {SCHEMA}.numbers;
CREATE FUNCTION {SCHEMA}.add() RETURNS void LANGUAGE sql AS 'INSERT INTO {SCHEMA}.kept VALUES (99)';
INSERT INTO {SCHEMA}.kept VALUES (1, 'one');
GRANT USAGE ON SCHEMA {SCHEMA} TO m1cep_ledger, m1cep_risk;
GRANT SELECT, INSERT ON {SCHEMA}.kept TO m1cep_ledger;
GRANT SELECT ON {SCHEMA}.kept TO m1cep_risk;
"""
T = f"{SCHEMA}.kept"
WAYS_TO_WRITE = [
    f"INSERT INTO {T} VALUES (2, 'two')",
    f"UPDATE {T} SET note = 'x'",
    f"DELETE FROM {T}",
    f"TRUNCATE {T}",
    f"MERGE INTO {T} USING (VALUES (1)) AS new (n) ON new.n = kept.n WHEN MATCHED THEN DELETE",
    f"WITH gone AS (DELETE FROM {T} RETURNING n) SELECT n FROM gone",
    f"COPY {T} FROM PROGRAM 'echo 3'",
    f"COPY {T} TO PROGRAM 'cat'",
    f"COPY {T} TO '/tmp/m1cep-risk-wrote-this'",
    f"SELECT {SCHEMA}.add()",
    f"DO $$ BEGIN INSERT INTO {T} VALUES (4); END $$",
    f"SELECT n FROM {T} FOR UPDATE",
    f"DO $$ BEGIN LOCK TABLE {T} IN ACCESS EXCLUSIVE MODE; END $$",
    f"SELECT nextval('{SCHEMA}.numbers')",
    f"SELECT setval('{SCHEMA}.numbers', 7)",
    "CREATE TABLE public.mine (n int)",
    f"CREATE TABLE {SCHEMA}.mine (n int)",
    "CREATE TEMPORARY TABLE mine (n int)",
    f"SELECT n INTO TEMPORARY mine FROM {T}",
    f"CREATE MATERIALIZED VIEW {SCHEMA}.mine AS SELECT n FROM {T}",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    f"CREATE EXTENSION hstore SCHEMA {SCHEMA}",
    "CREATE DATABASE mine",
    "CREATE PUBLICATION mine",
    f"DROP TABLE {T}",
    f"ALTER TABLE {T} ADD more int",
    f"CREATE INDEX ON {T} (note)",
    f"CREATE RULE mine AS ON SELECT TO {T} DO INSTEAD SELECT 1",
    f"COMMENT ON TABLE {T} IS 'mine'",
    f"DO $$ BEGIN GRANT INSERT ON {T} TO m1cep_risk; INSERT INTO {T} VALUES (5); END $$",
    f"REASSIGN OWNED BY {roles.OWNER} TO m1cep_risk",
    "GRANT m1cep_ledger TO m1cep_risk",
    "SET ROLE m1cep_ledger",
    "SET ROLE m1cep_owner",
    "SET SESSION AUTHORIZATION m1cep_ledger",
    "CREATE ROLE mine",
    "ALTER ROLE m1cep_ledger PASSWORD 'known'",
    "ALTER SYSTEM SET work_mem = '1MB'",
    "ALTER DATABASE m1cep SET work_mem = '1MB'",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT pg_logical_emit_message(true, 'mine', 'x')",
    "SELECT pg_logical_emit_message(false, 'mine', 'x')",
    "SELECT pg_promote()",
    "SELECT pg_reload_conf()",
    "SELECT pg_switch_wal()",
    "SELECT pg_create_physical_replication_slot('mine')",
    "SELECT pg_read_file('PG_VERSION')",
]
REFUSED = (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)
#: All tables, functions, roles, settings, privileges, large objects there are, and the rows of the test's table.
STATE = f"""
SELECT (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_proc), (SELECT count(*) FROM pg_roles),
       (SELECT count(*) FROM pg_namespace), (SELECT count(*) FROM pg_largeobject_metadata), (SELECT count(*) FROM pg_description),
       (SELECT count(*) FROM pg_db_role_setting), (SELECT count(*) FROM pg_auth_members),
       (SELECT last_value FROM {SCHEMA}.numbers),
       (SELECT string_agg(relname || relacl::text, ',' ORDER BY oid) FROM pg_class WHERE relacl IS NOT NULL),
       (SELECT json_agg(kept) FROM {T})::text
"""


@pytest.fixture
def step(database, eventually):
    """The pair, both servers running, with the test's table on both."""
    eventually(lambda: database.in_step, 60)
    with connect(database.owner_url.get_secret_value()) as owner:
        owner.execute(MAKE)
    return database


@pytest.fixture
def let_into_the_primary(step, eventually):
    """Connects as the role that reads to the primary, whose pg_hba.conf permits it for once."""
    access = step.primary.place / "pg_hba.conf"
    text = access.read_text()
    url = step.read_url.get_secret_value().partition("?")[0].partition("@")[0]

    def get_in():
        try:
            return connect(f"{url}@127.0.0.1:{step.primary.port}/m1cep")
        except psycopg.OperationalError:
            return None

    access.write_text(text.replace("all reject", "all scram-sha-256"))  # in place: it keeps its owner
    with as_superuser(step.primary) as admin:
        admin.execute("SELECT pg_reload_conf()")
    yield lambda: eventually(get_in, 30)
    step.primary.configure()


def as_superuser(node):
    return connect(node.url.get_secret_value().removesuffix("postgres") + "m1cep")


def tried(connection):
    """The ways that worked. Each is tried with the role's own limits turned off first, where it can do that."""
    worked = []
    for way in WAYS_TO_WRITE:
        connection.execute("SET default_transaction_read_only = off")
        try:
            connection.execute(way)
        except REFUSED:
            continue
        worked.append(way)
    return worked


def test_on_the_replica_every_way_to_write_is_refused(step):
    with connect(step.read_url.get_secret_value()) as risk, as_superuser(step.primary) as look:
        before = look.execute(STATE).fetchall()
        assert risk.execute("SELECT current_user, pg_is_in_recovery()").fetchall() == [(roles.RISK, True)]
        assert tried(risk) == []
        assert look.execute(STATE).fetchall() == before
        assert risk.execute(f"SELECT n, note FROM {T}").fetchall() == [(1, "one")]


def test_it_does_not_get_into_the_primary(step):
    for database in ("m1cep", "postgres", "template1"):
        url = step.read_url.get_secret_value().partition("?")[0].partition("@")[0]
        with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf rejects connection"):
            psycopg.connect(f"{url}@127.0.0.1:{step.primary.port}/{database}")


def test_if_it_got_into_the_primary_every_way_to_write_would_be_refused_by_grants_alone(step, let_into_the_primary):
    with let_into_the_primary() as risk, as_superuser(step.primary) as look:
        before = look.execute(STATE).fetchall()
        assert risk.execute("SELECT current_user, pg_is_in_recovery()").fetchall() == [(roles.RISK, False)]
        assert tried(risk) == []
        assert look.execute(STATE).fetchall() == before


def test_it_gets_into_no_other_database_of_the_replica_and_replicates_nothing(step):
    url = step.read_url.get_secret_value().partition("?")[0].partition("@")[0]
    for options in ("postgres", "template1", "m1cep?replication=database", "m1cep?replication=true"):
        with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry|permission denied"):
            psycopg.connect(f"{url}@127.0.0.1:{step.replica.port}/{options}")


def test_the_role_that_writes_does_what_grants_permit_and_no_more(step):
    with connect(step.write_url.get_secret_value()) as ledger:
        ledger.execute(f"INSERT INTO {T} VALUES (2, 'two')")
        for way in (f"UPDATE {T} SET note = 'x'", f"DELETE FROM {T}", f"DROP TABLE {T}", "CREATE TEMPORARY TABLE t ()"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                ledger.execute(way)
        assert ledger.execute(f"SELECT n, note FROM {T} ORDER BY n").fetchall() == [(1, "one"), (2, "two")]


def test_roles_are_brought_up_to_date_where_they_exist(step, let_into_the_primary):
    with as_superuser(step.primary) as inside:
        inside.execute("ALTER ROLE m1cep_risk CREATEDB; GRANT TEMP ON DATABASE m1cep TO PUBLIC")
        roles.make_roles(inside, {})
        roles.make_grants(inside)
        kept = inside.execute(
            "SELECT rolcreatedb, rolpassword LIKE 'SCRAM%' FROM pg_authid WHERE rolname = 'm1cep_risk'"
        )
        assert kept.fetchall() == [(False, True)]
    with let_into_the_primary() as risk:
        assert tried(risk) == []


def test_an_operator_makes_the_same_with_psql_again_and_again(step, let_into_the_primary):
    from streams.embedded.postgres_programs import postgres_programs

    psql = postgres_programs(step.place, None) / "psql"
    with as_superuser(step.primary) as inside:
        inside.execute("ALTER ROLE m1cep_risk CREATEROLE; GRANT TEMP ON DATABASE m1cep TO PUBLIC")
        inside.execute("GRANT EXECUTE ON FUNCTION lo_create(oid) TO PUBLIC")
    command = [psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", step.primary.url.get_secret_value()]
    done = subprocess.run(command, input=roles.script(), capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    with let_into_the_primary() as risk:
        assert tried(risk) == []
    with connect(step.write_url.get_secret_value()) as ledger:
        ledger.execute("SELECT pg_logical_emit_message(true, 'm1cep', '')")
