"""What alembic runs: the migrations of one shard, each in its own transaction, on the connection that it is given."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(
    connection=connection, version_table="schema_version", version_table_schema="ledger", transaction_per_migration=True
)
with context.begin_transaction():
    context.run_migrations()
