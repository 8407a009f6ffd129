"""Schemas: JSON Schema 2020-12 of every topic, and one AsyncAPI 3 document, made from the code that reads and writes them.

declared streams (SQL) ─▶ events       ┐
classes that are (de)coded ─▶ structs  ├─▶ catalogue ─▶ document ─▶ files (docs/asyncapi.yaml, docs/schemas/)
what is written as a dict ─▶ records   ┘                              └─▶ compatible: with what is there
"""

from streams.schemas.catalogue import Channel, Message, channels
from streams.schemas.document import asyncapi, json_schema
from streams.schemas.files import Comparison, compare, write

__all__ = ["Channel", "Comparison", "Message", "asyncapi", "channels", "compare", "json_schema", "write"]
