"""The gRPC server: on this machine only, bounded, with health and reflection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection

from streams.errors import UsageError
from streams.rpc.requests import Requests
from streams.rpc.v1 import risk_pb2
from streams.rpc.v1.risk_pb2_grpc import add_RiskServiceServicer_to_server

if TYPE_CHECKING:
    from streams.rpc.service import RiskService

HOST = "127.0.0.1"
NAME = risk_pb2.DESCRIPTOR.services_by_name["RiskService"].full_name
#: Calls under way, streams included; what comes beyond is answered RESOURCE_EXHAUSTED at once.
MAX_CALLS = 256
#: A thousand orders with the longest names take a third of it.
MAX_MESSAGE_BYTES = 1 << 20
_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", 8 << 10),
    ("grpc.max_concurrent_streams", MAX_CALLS),  # of one connection
    ("grpc.so_reuseport", 0),  # a second server on the port must fail, not share
    # Ends what clients that have been cut off have left; others are told before and connect again.
    ("grpc.max_connection_age_ms", 3_600_000),
    ("grpc.max_connection_age_grace_ms", 60_000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
)
_SERVING = {
    True: health_pb2.HealthCheckResponse.SERVING,
    False: health_pb2.HealthCheckResponse.NOT_SERVING,
}


class RiskServer:
    """Serves a :class:`RiskService`.

    Args:
        service: what answers.
        port: on 127.0.0.1; 0: any free one, see ``port`` after the start.

    Attributes:
        service: the same.
    """

    def __init__(self, service: RiskService, port: int) -> None:
        self.service = service
        self.port = port
        self._server = grpc.aio.server(
            interceptors=[Requests(NAME, service.counts)], options=_OPTIONS, maximum_concurrent_rpcs=MAX_CALLS
        )
        self._health = health.HealthServicer()
        self._told: bool | None = None
        add_RiskServiceServicer_to_server(service, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection((NAME, HEALTH, reflection.SERVICE_NAME), self._server)

    def add(self, handler: grpc.GenericRpcHandler) -> None:
        """Serve something else as well; before ``start``."""
        self._server.add_generic_rpc_handlers((handler,))

    async def start(self) -> None:
        """Listen.

        Raises:
            UsageError: the port is taken.
        """
        await self.tell_health()
        try:
            self.port = self._server.add_insecure_port(f"{HOST}:{self.port}")
        except RuntimeError as error:
            raise UsageError(
                f"the port {self.port} of {HOST} cannot be used", "set M1CEP_RPC_PORT to another"
            ) from error
        await self._server.start()

    async def tell_health(self) -> None:
        """Bring what the health service says up to date."""
        serving = self.service.fault() is None
        if serving != self._told:
            self._told = serving
            for name in ("", NAME):
                await self._health.set(name, _SERVING[serving])

    async def stop(self, grace_s: float) -> None:
        """Answer what is under way, and nothing more."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_s)
