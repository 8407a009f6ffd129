"""The gRPC service in one process: what it answers, what it refuses, and whom it cuts off."""

import asyncio
import contextlib
from collections import Counter

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from pretradeworld import world

from m1cep import FixedLookups, Parameter
from streams.rpc import server as server_module
from streams.rpc.client import NoAnswer, RiskClient, order
from streams.rpc.freshness import Fault, Kind
from streams.rpc.server import NAME, RiskServer
from streams.rpc.service import MAX_ORDERS, RiskService
from streams.rpc.v1 import risk_pb2
from streams.rpc.v1.risk_pb2_grpc import RiskServiceStub


class Fresh:
    """A feed that is as fresh as the test says."""

    trouble = None

    def fault(self, _now_ms):
        return self.trouble

    def age_ms(self, _now_ms):
        return 7


class Service:
    """A server on a free port, a channel to it, and what it has counted."""

    def __init__(self, **rules):
        self.book, checker = world(**rules)
        self.fresh, self.trouble, self.counts = Fresh(), None, Counter()
        self.server = RiskServer(RiskService(checker, self.fresh, lambda: self.trouble, self.counts, patience_s=0.3), 0)

    @property
    def address(self):
        return f"127.0.0.1:{self.server.port}"


@contextlib.asynccontextmanager
async def serving(**rules):
    service = Service(**rules)
    await service.server.start()
    try:
        async with grpc.aio.insecure_channel(service.address) as channel:
            yield service, RiskServiceStub(channel), channel
    finally:
        await service.server.stop(0)


async def until(holds):
    while not holds():  # noqa: ASYNC110 - what is waited for is inside of gRPC
        await asyncio.sleep(0.01)


async def drain(stream):
    while await stream.read():
        pass


def run(test):
    """The test as a coroutine, in at most a minute."""
    return asyncio.run(asyncio.wait_for(test, 60))


def one(order_id="o1", qty="1", **more):
    return order("ann", order_id, "BTC-USD", "buy", qty, "100", **more)


async def status(call):
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value.code(), error.value.details()


def test_a_rejection_is_an_answer_with_its_reasons():
    async def test():
        async with serving(default={"order_qty": 2}) as (service, risk, _):
            answer = await risk.Check(risk_pb2.CheckRequest(order=one()))
            assert answer.decision.accepted
            assert (answer.basis.age_ms, answer.basis.limits_version) == (7, "v1")
            answer = await risk.CheckBatch(risk_pb2.CheckBatchRequest(orders=[one("o2", "3"), one("o3")]))
            assert [d.accepted for d in answer.decisions] == [False, True]
            (reason,) = answer.decisions[0].reasons
            assert (reason.code, reason.rule_id) == (risk_pb2.REASON_CODE_ORDER_QTY, "limit/order_qty")
            assert (reason.limit, reason.value) == ("2", "3")
            assert +service.counts == {"accepted": 2, "rejected": 1}

    run(test())


def test_a_dry_run_counts_nothing():
    async def test():
        async with serving() as (service, risk, _):
            assert (await risk.Check(risk_pb2.CheckRequest(order=one(dry_run=True)))).decision.accepted
            assert service.book.accounts == {}

    run(test())


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"account": ""}, "account: expected 1 to 64"),
        ({"account": "a" * 65}, "account: expected 1 to 64"),
        ({"symbol": "BTC\nUSD"}, "symbol: expected"),
        ({"order_id": ""}, "order_id"),
        ({"side": 0}, "side"),
        ({"side": 9}, "side"),
        ({"qty": "0"}, "qty: expected a number above zero"),
        ({"qty": "-1"}, "qty: expected a decimal number"),
        ({"qty": "1e9"}, "qty: expected a decimal number"),
        ({"qty": "NaN"}, "qty: expected a decimal number"),
        ({"qty": "1" * 19}, "qty: expected a decimal number"),
        ({"price": "0.0000000000000000000000001"}, "price: expected a decimal number"),
    ],
)
def test_what_is_not_an_order_is_refused_and_nothing_of_its_batch_counts(broken, said):
    async def test():
        async with serving() as (service, risk, _):
            wrong = one("o2")
            for name, value in broken.items():
                setattr(wrong, name, value)
            code, details = await status(risk.CheckBatch(risk_pb2.CheckBatchRequest(orders=[one(), wrong])))
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            assert said in details
            assert service.book.accounts == {}
            assert +service.counts == {"refused": 1}

    run(test())


def test_a_parameter_that_is_no_limit_refuses_the_whole_batch():
    async def test():
        values = {"max_qty": Parameter(5, {"bob": "lots"})}
        async with serving(lookups=FixedLookups(params=values), parameters={"order_qty": "max_qty"}) as (
            service,
            risk,
            _,
        ):
            batch = risk_pb2.CheckBatchRequest(orders=[one(), order("bob", "o2", "BTC-USD", "buy", "1", "100")])
            code, details = await status(risk.CheckBatch(batch))
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            assert "limit order_qty: expected a number" in details
            assert service.book.accounts == {}

    run(test())


def test_absurd_sizes_are_refused():
    async def test():
        async with serving() as (service, risk, _):
            for count in (0, MAX_ORDERS + 1):
                request = risk_pb2.CheckBatchRequest(orders=[one(f"o{n}") for n in range(count)])
                assert (await status(risk.CheckBatch(request)))[0] is grpc.StatusCode.INVALID_ARGUMENT
            huge = risk_pb2.CheckRequest(order=one("o" * (server_module.MAX_MESSAGE_BYTES + 1)))
            assert (await status(risk.Check(huge)))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert +service.counts == {"refused": 2, "unread": 1}
            longest = order("a" * 64, "o" * 64, "s" * 64, "buy", "1" * 18 + "." + "1" * 24, "1" * 18 + "." + "1" * 24)
            orders = [longest] * MAX_ORDERS
            for n, each in enumerate(orders):
                each.order_id = f"{n:064}"
            assert len((await risk.CheckBatch(risk_pb2.CheckBatchRequest(orders=orders))).decisions) == MAX_ORDERS

    run(test())


@pytest.mark.parametrize("method", ["Check", "CheckBatch", "CheckStream", "AccountState"])
def test_bytes_that_are_no_message_are_refused_and_counted(method):
    async def test():
        async with serving() as (service, risk, channel):
            name = f"/{NAME}/{method}"
            noise = b"\xff\xff\xff\x07 no message"
            if method == "CheckStream":
                call = channel.stream_stream(name)(iter([noise])).read()
            else:
                call = channel.unary_unary(name)(noise)
            assert await status(call) == (grpc.StatusCode.INVALID_ARGUMENT, "expected a message of m1cep.risk.v1")
            assert (await risk.Check(risk_pb2.CheckRequest(order=one()))).decision.accepted
            assert +service.counts == {"refused": 1, "accepted": 1}

    run(test())


@pytest.mark.parametrize("kind", list(Kind))
def test_what_is_stale_or_down_is_said_as_a_status(kind):
    async def test():
        async with serving() as (service, risk, channel):
            health = health_pb2_grpc.HealthStub(channel)

            async def healthy():
                await service.server.tell_health()
                answer = await health.Check(health_pb2.HealthCheckRequest(service=NAME))
                return answer.status == health_pb2.HealthCheckResponse.SERVING

            assert await healthy()
            calls = (
                lambda: risk.Check(risk_pb2.CheckRequest(order=one())),
                lambda: risk.CheckBatch(risk_pb2.CheckBatchRequest(orders=[one()])),
                lambda: risk.AccountState(risk_pb2.AccountStateRequest(account="ann")),
                lambda: risk.CheckStream(iter([risk_pb2.CheckStreamRequest(orders=[one()])])).read(),
            )
            for where in ("fresh", "service"):
                service.fresh.trouble = Fault(kind, "a reason") if where == "fresh" else None
                service.trouble = Fault(kind, "a reason") if where == "service" else None
                for call in calls:
                    assert await status(call()) == (grpc.StatusCode[kind.value], "a reason")
                assert not await healthy()
            service.trouble = None
            assert await healthy()
            assert service.book.accounts == {}

    run(test())


def test_a_stream_is_answered_in_order():
    async def test():
        async with serving(default={"open_orders": 3}) as (_, risk, _):
            requests = [
                risk_pb2.CheckStreamRequest(sequence=n, orders=[one(f"o{n}-{i}") for i in range(2)]) for n in range(3)
            ]
            answers = [answer async for answer in risk.CheckStream(iter(requests))]
            assert [a.sequence for a in answers] == [0, 1, 2]
            assert [d.accepted for a in answers for d in a.decisions] == [True, True, True, False, False, False]

    run(test())


def test_a_client_that_never_reads_its_stream_is_cut_off_and_others_are_not_kept_waiting():
    async def test():
        async with serving(default={"order_qty": 0}) as (service, risk, _):
            stream = risk.CheckStream()
            orders = [one(f"o{n}") for n in range(MAX_ORDERS)]
            sent = 0

            async def flood():
                nonlocal sent
                while True:
                    await stream.write(risk_pb2.CheckStreamRequest(sequence=sent, orders=orders))
                    sent += 1

            flooding = asyncio.create_task(flood())
            while not service.counts["streams_cut"]:
                await asyncio.sleep(0.02)
                assert not (await risk.Check(risk_pb2.CheckRequest(order=one()))).decision.accepted
            await until(lambda: not service.server.service.streams)
            with pytest.raises(grpc.aio.AioRpcError):  # once it reads, it hears that there is no more
                await drain(stream)
            with pytest.raises(grpc.aio.AioRpcError):
                await flooding

    run(test())


def test_beyond_what_it_can_do_at_once_it_says_so_at_once(monkeypatch):
    monkeypatch.setattr(server_module, "MAX_CALLS", 4)

    async def test():
        async with serving() as (_, risk, _):
            streams = [risk.CheckStream() for _ in range(4)]
            for n, stream in enumerate(streams):
                await stream.write(risk_pb2.CheckStreamRequest(orders=[one(f"o{n}")]))
                assert (await stream.read()).decisions
            code, _ = await status(risk.Check(risk_pb2.CheckRequest(order=one("o9"))))
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            streams[0].cancel()
            while True:
                with contextlib.suppress(grpc.aio.AioRpcError):
                    assert (await risk.Check(risk_pb2.CheckRequest(order=one("o9")))).decision.accepted
                    break

    run(test())


def test_after_the_clients_deadline_nothing_is_decided():
    async def test():
        async with serving() as (service, risk, _):
            arrived = asyncio.Event()

            async def slow_basis(context):  # as where many others wait before it
                arrived.set()
                await until(lambda: not context.time_remaining())
                return risk_pb2.Basis()

            service.server.service._basis = slow_basis
            call = risk.Check(risk_pb2.CheckRequest(order=one()), timeout=2)
            assert (await status(call))[0] is grpc.StatusCode.DEADLINE_EXCEEDED
            assert arrived.is_set()
            await asyncio.sleep(0.1)
            assert service.book.accounts == {}

    run(test())


def test_reflection_names_the_service():
    async def test():
        async with serving() as (_, _, channel):
            stub = reflection_pb2_grpc.ServerReflectionStub(channel)
            call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
            answer = await call.read()
            assert NAME in {service.name for service in answer.list_services_response.service}

    run(test())


def test_the_client_asks_says_and_tells_when_there_is_no_answer():
    async def test():
        async with serving(default={"order_qty": 2}) as (service, _, _):
            with RiskClient(service.address, timeout_s=10) as client:
                ask = asyncio.to_thread
                assert (await ask(client.check, "ann", "o1", "BTC-USD", "buy", "1", "100")).accepted
                assert [d.accepted for d in await ask(client.check_batch, [one("o2"), one("o3", "3")])] == [True, False]
                answers = await ask(lambda: list(client.check_stream([[one("o4")], [one("o5", "3")]])))
                assert [[d.accepted for d in answer] for answer in answers] == [[True], [False]]
                assert (await ask(client.account_state, "ann")).open_orders == 3
                assert await ask(client.serving)
                service.fresh.trouble = Fault(Kind.STALE, "starting")
                for call in (
                    lambda: client.check("ann", "o6", "BTC-USD", "buy", "1"),
                    lambda: list(client.check_stream([[one()]])),
                ):
                    with pytest.raises(NoAnswer, match="do not place the order") as none:
                        await ask(call)
                    assert none.value.status == "FAILED_PRECONDITION"

    run(test())
