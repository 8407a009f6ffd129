"""What the service answers. One thread decides, without waiting in between: of two orders one is first."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import grpc
import structlog

from m1cep.errors import PretradeError
from m1cep.pretrade.orders import MAX_NAME
from streams.rpc.convert import account_state, decision_of, order_of
from streams.rpc.v1 import risk_pb2
from streams.rpc.v1.risk_pb2_grpc import RiskServiceServicer

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import AsyncIterator, Callable, Sequence

    from m1cep.pretrade import Checker, Limits
    from streams.rpc.freshness import Fault, Freshness

RequestT = TypeVar("RequestT")

_log = structlog.get_logger(__name__)

MAX_ORDERS = 1_000  # in a batch
MAX_STREAMS = 64
#: A client that has not read an answer for so long is cut off.
PATIENCE_S = 5.0


def now_ms() -> int:
    """The clock of the service: only goes forward, whatever is done to the machine's time."""
    return time.monotonic_ns() // 1_000_000


class RiskService(RiskServiceServicer):
    """The service.

    Args:
        checker: decides.
        freshness: of what it decides by.
        trouble: what else stands in the way of answers: a cache that is down.
        counts: gets what was answered: accepted, rejected, refused, unavailable, streams_cut.
        patience_s: see ``PATIENCE_S``.

    Attributes:
        streams: how many are open.
        counts: the same.
    """

    def __init__(
        self,
        checker: Checker,
        freshness: Freshness,
        trouble: Callable[[], Fault | None],
        counts: Counter[str],
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._checker, self._freshness, self._trouble = checker, freshness, trouble
        self.counts = counts
        self._patience_s = patience_s
        self.streams = 0
        self._version = checker.rules.version

    def fault(self) -> Fault | None:
        """Why nothing can be answered now; None: it can."""
        return self._freshness.fault(now_ms()) or self._trouble()

    async def Check(self, request: risk_pb2.CheckRequest | None, context: Any) -> risk_pb2.CheckResponse:  # noqa: N802 - the protocol's name
        """One order."""
        request = await self._message(request, context)
        basis = await self._basis(context)
        (decision,) = await self._decide((request.order,), context)
        return risk_pb2.CheckResponse(decision=decision, basis=basis)

    async def CheckBatch(  # noqa: N802 - the protocol's name
        self, request: risk_pb2.CheckBatchRequest | None, context: Any
    ) -> risk_pb2.CheckBatchResponse:
        """Several orders."""
        request = await self._message(request, context)
        basis = await self._basis(context)
        return risk_pb2.CheckBatchResponse(decisions=await self._decide(request.orders, context), basis=basis)

    async def CheckStream(  # noqa: N802 - the protocol's name
        self, request_iterator: AsyncIterator[risk_pb2.CheckStreamRequest | None], context: Any
    ) -> None:
        """Several orders, again and again."""
        if self.streams >= MAX_STREAMS:
            await self._refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MAX_STREAMS} streams are open already")
        self.streams += 1
        try:
            async for message in request_iterator:
                request = await self._message(message, context)
                basis = await self._basis(context)
                decisions = await self._decide(request.orders, context)
                answer = risk_pb2.CheckStreamResponse(sequence=request.sequence, decisions=decisions, basis=basis)
                try:
                    # Waits for the client once its and our buffers are full.
                    await asyncio.wait_for(context.write(answer), self._patience_s)
                except TimeoutError:
                    self.counts["streams_cut"] += 1
                    _log.warning("rpc.client_does_not_read", peer=context.peer(), waited_s=self._patience_s)
                    await self._cut_off(context)
        finally:
            self.streams -= 1

    async def AccountState(  # noqa: N802 - the protocol's name
        self, request: risk_pb2.AccountStateRequest | None, context: Any
    ) -> risk_pb2.AccountStateResponse:
        """An account."""
        request = await self._message(request, context)
        basis = await self._basis(context)
        if not 0 < len(request.account) <= MAX_NAME or not request.account.isprintable():
            await self._refuse(
                context, grpc.StatusCode.INVALID_ARGUMENT, f"expected account of 1 to {MAX_NAME} printable characters"
            )
        answer = account_state(request.account, self._checker)
        answer.basis.CopyFrom(basis)
        return answer

    # -- inside

    async def _message(self, request: RequestT | None, context: Any) -> RequestT:
        """The request; ends the call where the bytes that came were none."""
        if request is None:
            await self._refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "expected a message of m1cep.risk.v1")
        return request

    async def _basis(self, context: Any) -> risk_pb2.Basis:
        """By what is decided now; ends the call where nothing can be."""
        at_ms = now_ms()
        fault = self._freshness.fault(at_ms) or self._trouble()
        if fault is not None:
            self.counts["unavailable"] += 1
            await context.abort(grpc.StatusCode[fault.kind.value], fault.reason)
        return risk_pb2.Basis(age_ms=self._freshness.age_ms(at_ms), limits_version=self._version)

    async def _decide(self, orders: Sequence[risk_pb2.Order], context: Any) -> list[risk_pb2.Decision]:
        if not 0 < len(orders) <= MAX_ORDERS:
            await self._refuse(
                context, grpc.StatusCode.INVALID_ARGUMENT, f"expected 1 to {MAX_ORDERS} orders, got {len(orders)}"
            )
        # Nobody waits for it any more: what would be accepted now would be counted and never placed.
        left_s: float | None = context.time_remaining()
        if left_s is not None and left_s <= 0:
            await self._refuse(
                context, grpc.StatusCode.DEADLINE_EXCEEDED, "the deadline passed before the orders' turn"
            )
        try:
            asked = [(order_of(order), order.dry_run) for order in orders]  # all of them are understood, or none counts
            limits = [self._checker.limits(order) for order, _ in asked]
            return self._decided(asked, limits)
        except PretradeError as error:
            await self._refuse(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))

    def _decided(self, asked: Sequence[tuple[Any, bool]], limits: Sequence[Limits]) -> list[risk_pb2.Decision]:
        check, at_ms, found = self._checker.check, now_ms(), []
        rejected = 0
        for (order, dry_run), its_limits in zip(asked, limits, strict=True):
            reasons = check(order, at_ms, dry_run=dry_run, limits=its_limits)
            rejected += bool(reasons)
            found.append(decision_of(order.id, reasons))
        self.counts["rejected"] += rejected
        self.counts["accepted"] += len(found) - rejected
        return found

    async def _cut_off(self, context: Any) -> NoReturn:
        """End a call that is not read. Its status waits behind the answers as long as the client does, and we do not: what is
        left of the call is one answer in gRPC's buffers, until the client reads or its connection ends.
        """
        end = self._refuse(
            context, grpc.StatusCode.RESOURCE_EXHAUSTED, f"no answer was read for {self._patience_s:g} s"
        )
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(end, 0.1)
        raise asyncio.CancelledError

    async def _refuse(self, context: Any, status: grpc.StatusCode, why: str) -> NoReturn:
        self.counts["refused"] += 1
        await context.abort(status, why)
        raise AssertionError  # abort raises
