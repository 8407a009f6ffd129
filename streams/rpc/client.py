"""A client of the pre-trade check, for programs that are not asynchronous; others use ``streams.rpc.v1`` with ``grpc.aio``.

    with RiskClient("127.0.0.1:50061") as risk:
        verdict = risk.check("alice", "o-1", "BTC-USD", "buy", "0.25", "64000")
        if verdict.accepted: ...
        else: print(verdict.reasons[0].rule_id, verdict.reasons[0].alert_ids)

No answer is a :class:`NoAnswer`: the order must not be placed. Asking again about the same order is safe, it counts once.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from streams.errors import ServerError, one_line
from streams.rpc.server import NAME
from streams.rpc.v1 import risk_pb2
from streams.rpc.v1.risk_pb2_grpc import RiskServiceStub

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: Of a request; a local server that takes longer is not well.
TIMEOUT_S = 1.0
_SIDES = {"buy": risk_pb2.SIDE_BUY, "sell": risk_pb2.SIDE_SELL}
_OPTIONS = (
    ("grpc.enable_retries", 0),  # whoever places orders decides whether to ask again
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


class NoAnswer(ServerError):  # noqa: N818 - what it is to the caller
    """The service gave no decision.

    Attributes:
        status: gRPC's, such as UNAVAILABLE; ``proto/m1cep/risk/v1/risk.proto`` says what each means.
    """

    def __init__(self, status: str, details: str) -> None:
        self.status = status
        super().__init__(f"no decision ({status}): {one_line(details)}", "do not place the order")


def order(
    account: str,
    order_id: str,
    symbol: str,
    side: str,
    qty: Decimal | str,
    price: Decimal | str | None = None,
    *,
    dry_run: bool = False,
) -> risk_pb2.Order:
    """An order as the service takes it.

    Args:
        account: who places it.
        order_id: its id.
        symbol: what is traded.
        side: buy or sell.
        qty: above zero.
        price: limit; None: a market order.
        dry_run: only ask.

    Raises:
        ValueError: the side is neither buy nor sell.
    """
    if side not in _SIDES:
        raise ValueError(f"expected side buy or sell, got {side!r}")
    return risk_pb2.Order(
        account=account,
        order_id=order_id,
        symbol=symbol,
        side=_SIDES[side],
        qty=_plain(qty),
        price="" if price is None else _plain(price),
        dry_run=dry_run,
    )


def _plain(number: Decimal | str) -> str:
    return f"{number:f}" if isinstance(number, Decimal) else number


class RiskClient:
    """One connection to the service; may be used by several threads.

    Args:
        address: host:port.
        timeout_s: of each request.
    """

    def __init__(self, address: str, timeout_s: float = TIMEOUT_S) -> None:
        self.address, self._timeout_s = address, timeout_s
        self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        self._risk = RiskServiceStub(self._channel)
        self._health = health_pb2_grpc.HealthStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection."""
        self._channel.close()

    def check(self, *fields: Any, dry_run: bool = False) -> risk_pb2.Decision:
        """Ask about one order; the arguments are those of :func:`order`.

        Raises:
            NoAnswer: there is no decision.
        """
        request = risk_pb2.CheckRequest(order=order(*fields, dry_run=dry_run))
        answer: risk_pb2.CheckResponse = self._call(self._risk.Check, request)
        return answer.decision

    def check_batch(self, orders: Iterable[risk_pb2.Order]) -> Sequence[risk_pb2.Decision]:
        """Ask about up to 1000 orders at once; each is decided as if those accepted before it were placed.

        Raises:
            NoAnswer: there is no decision, on none of them.
        """
        answer: risk_pb2.CheckBatchResponse = self._call(
            self._risk.CheckBatch, risk_pb2.CheckBatchRequest(orders=orders)
        )
        return answer.decisions

    def check_stream(self, batches: Iterable[Sequence[risk_pb2.Order]]) -> Iterator[Sequence[risk_pb2.Decision]]:
        """Ask about batch after batch over one call; the answers to them, in order. They must be read.

        Raises:
            NoAnswer: the call was ended; batches without an answer have no decision.
        """
        requests = (risk_pb2.CheckStreamRequest(sequence=n, orders=batch) for n, batch in enumerate(batches))
        try:
            for answer in self._risk.CheckStream(requests):
                yield answer.decisions
        except grpc.RpcError as error:
            raise _no_answer(error) from error

    def account_state(self, account: str) -> risk_pb2.AccountStateResponse:
        """What the service knows of an account.

        Raises:
            NoAnswer: it does not say.
        """
        answer: risk_pb2.AccountStateResponse = self._call(
            self._risk.AccountState, risk_pb2.AccountStateRequest(account=account)
        )
        return answer

    def serving(self) -> bool:
        """Whether the service would decide now."""
        try:
            answer = self._health.Check(health_pb2.HealthCheckRequest(service=NAME), timeout=self._timeout_s)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def _call(self, method: Any, request: Any) -> Any:
        try:
            return method(request, timeout=self._timeout_s)
        except grpc.RpcError as error:
            raise _no_answer(error) from error


def _no_answer(error: Any) -> NoAnswer:
    return NoAnswer(error.code().name, error.details() or "")
