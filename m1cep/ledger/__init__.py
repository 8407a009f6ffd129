"""The ledger: double entry in whole minor units, holds, ids that count once. Pure: what keeps it is ``streams/ledger``."""

from m1cep.ledger.accounts import Account, AccountKey, Kind
from m1cep.ledger.books import Books, Changes, Hold, Mode, Result, Transfer
from m1cep.ledger.chart import Chart, parse_chart
from m1cep.ledger.postings import Entry, How, Leg, Posting, legs_of

__all__ = [
    "Account",
    "AccountKey",
    "Books",
    "Changes",
    "Chart",
    "Entry",
    "Hold",
    "How",
    "Kind",
    "Leg",
    "Mode",
    "Posting",
    "Result",
    "Transfer",
    "legs_of",
    "parse_chart",
]
