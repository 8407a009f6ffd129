"""A rule as a job for Flink SQL, or the list of what Flink cannot do of it."""

from m1cep.sql.flink.job import FlinkJob, flink_job
from m1cep.sql.flink.tables import Connector

__all__ = ["Connector", "FlinkJob", "flink_job"]
