"""The books: accounts, postings, transfers, holds, positions; grants of the two roles."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make them."""
    op.get_bind().exec_driver_sql(Path(__file__).with_suffix(".sql").read_text())
