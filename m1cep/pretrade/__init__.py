"""The pre-trade check: may this account place this order, given everything that is known at this moment?

    amounts → orders → limits → holdings → book (events in, exposure kept) → check (orders in, reasons out)

Pure: the time is told, lists and parameters are handed in, records are bytes. ``streams/rpc`` reads the topics and answers.
"""

from m1cep.pretrade.book import Book
from m1cep.pretrade.check import Checker
from m1cep.pretrade.limits import Limits, Rules, limit
from m1cep.pretrade.orders import ACCEPTED, Code, NewOrder, Reason, Side, new_order
from m1cep.pretrade.records import Hearing

__all__ = [
    "ACCEPTED",
    "Book",
    "Checker",
    "Code",
    "Hearing",
    "Limits",
    "NewOrder",
    "Reason",
    "Rules",
    "Side",
    "limit",
    "new_order",
]
