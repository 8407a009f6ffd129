"""Gateways to venues: the same few calls whether orders go to paper or to a real venue.

base.py          what a gateway does; a command of the grid as one of its calls
paper.py         the paper exchange in this process
courier.py       requests over a network that loses replies, to a venue that asks to wait
ccxt_gateway.py  a real venue through ccxt (extra ``ccxt``)
ccxt_exchange.py connections as ccxt makes them
ccxt_words.py    ccxt's words and ours
"""

from streams.gateways.base import GatewayError, OutcomeUnknown, Unreachable, VenueGateway, carry_out
from streams.gateways.paper import PaperGateway

__all__ = ["GatewayError", "OutcomeUnknown", "PaperGateway", "Unreachable", "VenueGateway", "carry_out"]
