SELECT 'CREATE ROLE m1cep_owner' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'm1cep_owner') \gexec
SELECT 'CREATE ROLE m1cep_ledger' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'm1cep_ledger') \gexec
SELECT 'CREATE ROLE m1cep_risk' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'm1cep_risk') \gexec
SELECT 'CREATE ROLE m1cep_replication' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'm1cep_replication') \gexec
ALTER ROLE m1cep_owner LOGIN NOREPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS NOINHERIT;
ALTER ROLE m1cep_ledger LOGIN NOREPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS NOINHERIT;
ALTER ROLE m1cep_risk LOGIN NOREPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS NOINHERIT;
ALTER ROLE m1cep_replication LOGIN REPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS NOINHERIT;
SELECT 'CREATE DATABASE m1cep' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'm1cep') \gexec
REVOKE ALL ON DATABASE postgres FROM PUBLIC;
REVOKE ALL ON DATABASE template1 FROM PUBLIC;
REVOKE ALL ON DATABASE m1cep FROM PUBLIC;
GRANT CONNECT ON DATABASE m1cep TO m1cep_owner, m1cep_ledger, m1cep_risk;
GRANT CREATE ON DATABASE m1cep TO m1cep_owner;
ALTER ROLE m1cep_ledger SET synchronous_commit = 'on';
ALTER ROLE m1cep_risk SET default_transaction_read_only = on;
\connect m1cep
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO m1cep_owner;
DO $$
DECLARE writes regprocedure;
BEGIN
    FOR writes IN
        SELECT oid::regprocedure FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace
          AND (proname IN ('lo_creat', 'lo_create', 'lo_from_bytea', 'lo_put', 'lo_open', 'lo_unlink', 'lo_truncate',
                           'lo_truncate64', 'lowrite', 'pg_logical_emit_message'))
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', writes);
    END LOOP;
    FOR writes IN SELECT oid::regprocedure FROM pg_proc WHERE proname = 'pg_logical_emit_message' LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO m1cep_ledger', writes);
    END LOOP;
END $$;
