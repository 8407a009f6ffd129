#!/bin/bash
# Run once, by the image, when the primary's data are made: the roles (what `m1cep db roles` prints), their passwords, and that
# a commit is acknowledged only when the replica has it on its disk too.
set -euo pipefail
run() { psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres "$@"; }
run --file "${ROLES:-/etc/m1cep/roles.sql}"
for role in owner ledger risk replication; do
    # Neither arguments nor the log show a password; psql reads and quotes it.
    run <<SQL
\\set password \`cat ${SECRETS:-/run/secrets}/postgres_$role\`
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
ALTER ROLE m1cep_$role PASSWORD :'password';
SQL
done
# Last: from the next start on commits wait for the replica, which is made from this server.
run --command "ALTER SYSTEM SET synchronous_standby_names = 'm1cep_replica'"
