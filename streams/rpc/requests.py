"""What comes in and is no request: gRPC turns it away before the service hears of it, and nobody would count it.

refused   bytes that are no message of the protocol: INVALID_ARGUMENT, as any other request that cannot be understood
unread    calls whose request was never read: too large, too many calls at once (RESOURCE_EXHAUSTED), given up by the client
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import DecodeError

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Awaitable, Callable


class Requests(grpc.aio.ServerInterceptor):
    """Counts them. To the service's methods a request that is no message is None.

    Args:
        service: full name of the service whose calls are looked at.
        counts: gets ``unread``; the service counts what it refuses.
    """

    def __init__(self, service: str, counts: Counter[str]) -> None:
        self._prefix, self._counts = f"/{service}/", counts
        self._methods: dict[str, Any] = {}

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any) -> Any:
        """The method that is called, with a way of reading its requests that fails nowhere."""
        name: str = handler_call_details.method
        method = self._methods.get(name)
        if method is None:
            method = await continuation(handler_call_details)
            if method is None or not name.startswith(self._prefix):
                return method
            method = self._methods[name] = self._with_reader(method)
        if not method.request_streaming:
            self._counts["unread"] += 1
        return method

    def _with_reader(self, method: Any) -> Any:
        read, counts, is_one = method.request_deserializer, self._counts, not method.request_streaming

        def reader(raw: bytes) -> Any:
            if is_one:
                counts["unread"] -= 1
            try:
                return read(raw)
            except DecodeError:
                return None

        if is_one:
            return grpc.unary_unary_rpc_method_handler(method.unary_unary, reader, method.response_serializer)
        return grpc.stream_stream_rpc_method_handler(method.stream_stream, reader, method.response_serializer)
