"""Faust with batches of records in place of messages. Knows nothing of rules.

Files: ``batch`` (the values), ``records`` (unpacking), ``thread`` (aiokafka's side), ``app`` (Faust's side).
"""

from streams.transport.app import BatchApp, BatchConsumer, BatchHandler
from streams.transport.batch import Batch, EndOfPartition, Record, Start

__all__ = ["Batch", "BatchApp", "BatchConsumer", "BatchHandler", "EndOfPartition", "Record", "Start"]
