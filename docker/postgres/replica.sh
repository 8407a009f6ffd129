#!/bin/bash
# Copies the primary at the first start, then follows it. Arguments: those of postgres.
set -euo pipefail
passfile=${PASSFILE:-/tmp/pgpass} # in memory; the data folder only names it
(umask 077 && printf '*:*:*:m1cep_replication:%s\n' "$(cat "${SECRETS:-/run/secrets}/postgres_replication")" >"$passfile")
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    # Beside its place and moved there when it is whole.
    rm -rf "$PGDATA.part"
    mkdir -p "$(dirname "$PGDATA")"
    pg_basebackup --pgdata "$PGDATA.part" --wal-method stream --checkpoint fast --write-recovery-conf \
        --dbname "$PRIMARY user=m1cep_replication passfile=$passfile application_name=m1cep_replica"
    mv "$PGDATA.part" "$PGDATA"
fi
exec postgres "$@"
