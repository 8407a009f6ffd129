#!/bin/bash
# PostgreSQL wants its key for itself alone; a mounted secret belongs to somebody on the host. Arguments: what to become.
set -euo pipefail
install -m 600 /run/secrets/postgres_key /tmp/postgres.key
exec "$@"
