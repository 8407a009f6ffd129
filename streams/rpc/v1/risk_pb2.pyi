from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Side(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SIDE_UNSPECIFIED: _ClassVar[Side]
    SIDE_BUY: _ClassVar[Side]
    SIDE_SELL: _ClassVar[Side]

class ReasonCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REASON_CODE_UNSPECIFIED: _ClassVar[ReasonCode]
    REASON_CODE_FROZEN: _ClassVar[ReasonCode]
    REASON_CODE_ALERT: _ClassVar[ReasonCode]
    REASON_CODE_LIST: _ClassVar[ReasonCode]
    REASON_CODE_SYMBOL: _ClassVar[ReasonCode]
    REASON_CODE_ORDER_QTY: _ClassVar[ReasonCode]
    REASON_CODE_ORDER_VALUE: _ClassVar[ReasonCode]
    REASON_CODE_PRICE_BAND: _ClassVar[ReasonCode]
    REASON_CODE_NO_PRICE: _ClassVar[ReasonCode]
    REASON_CODE_OPEN_ORDERS: _ClassVar[ReasonCode]
    REASON_CODE_RATE: _ClassVar[ReasonCode]
    REASON_CODE_SYMBOL_EXPOSURE: _ClassVar[ReasonCode]
    REASON_CODE_ACCOUNT_EXPOSURE: _ClassVar[ReasonCode]
    REASON_CODE_TOTAL_EXPOSURE: _ClassVar[ReasonCode]
    REASON_CODE_MARGIN: _ClassVar[ReasonCode]
    REASON_CODE_ORDER_ID: _ClassVar[ReasonCode]
SIDE_UNSPECIFIED: Side
SIDE_BUY: Side
SIDE_SELL: Side
REASON_CODE_UNSPECIFIED: ReasonCode
REASON_CODE_FROZEN: ReasonCode
REASON_CODE_ALERT: ReasonCode
REASON_CODE_LIST: ReasonCode
REASON_CODE_SYMBOL: ReasonCode
REASON_CODE_ORDER_QTY: ReasonCode
REASON_CODE_ORDER_VALUE: ReasonCode
REASON_CODE_PRICE_BAND: ReasonCode
REASON_CODE_NO_PRICE: ReasonCode
REASON_CODE_OPEN_ORDERS: ReasonCode
REASON_CODE_RATE: ReasonCode
REASON_CODE_SYMBOL_EXPOSURE: ReasonCode
REASON_CODE_ACCOUNT_EXPOSURE: ReasonCode
REASON_CODE_TOTAL_EXPOSURE: ReasonCode
REASON_CODE_MARGIN: ReasonCode
REASON_CODE_ORDER_ID: ReasonCode

class Order(_message.Message):
    __slots__ = ("account", "order_id", "symbol", "side", "qty", "price", "dry_run")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    QTY_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    account: str
    order_id: str
    symbol: str
    side: Side
    qty: str
    price: str
    dry_run: bool
    def __init__(self, account: _Optional[str] = ..., order_id: _Optional[str] = ..., symbol: _Optional[str] = ..., side: _Optional[_Union[Side, str]] = ..., qty: _Optional[str] = ..., price: _Optional[str] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class Reason(_message.Message):
    __slots__ = ("code", "rule_id", "limit", "value", "alert_ids", "list_version")
    CODE_FIELD_NUMBER: _ClassVar[int]
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    ALERT_IDS_FIELD_NUMBER: _ClassVar[int]
    LIST_VERSION_FIELD_NUMBER: _ClassVar[int]
    code: ReasonCode
    rule_id: str
    limit: str
    value: str
    alert_ids: _containers.RepeatedScalarFieldContainer[str]
    list_version: str
    def __init__(self, code: _Optional[_Union[ReasonCode, str]] = ..., rule_id: _Optional[str] = ..., limit: _Optional[str] = ..., value: _Optional[str] = ..., alert_ids: _Optional[_Iterable[str]] = ..., list_version: _Optional[str] = ...) -> None: ...

class Decision(_message.Message):
    __slots__ = ("order_id", "accepted", "reasons")
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    order_id: str
    accepted: bool
    reasons: _containers.RepeatedCompositeFieldContainer[Reason]
    def __init__(self, order_id: _Optional[str] = ..., accepted: _Optional[bool] = ..., reasons: _Optional[_Iterable[_Union[Reason, _Mapping]]] = ...) -> None: ...

class Basis(_message.Message):
    __slots__ = ("age_ms", "limits_version")
    AGE_MS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_VERSION_FIELD_NUMBER: _ClassVar[int]
    age_ms: int
    limits_version: str
    def __init__(self, age_ms: _Optional[int] = ..., limits_version: _Optional[str] = ...) -> None: ...

class CheckRequest(_message.Message):
    __slots__ = ("order",)
    ORDER_FIELD_NUMBER: _ClassVar[int]
    order: Order
    def __init__(self, order: _Optional[_Union[Order, _Mapping]] = ...) -> None: ...

class CheckResponse(_message.Message):
    __slots__ = ("decision", "basis")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    BASIS_FIELD_NUMBER: _ClassVar[int]
    decision: Decision
    basis: Basis
    def __init__(self, decision: _Optional[_Union[Decision, _Mapping]] = ..., basis: _Optional[_Union[Basis, _Mapping]] = ...) -> None: ...

class CheckBatchRequest(_message.Message):
    __slots__ = ("orders",)
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    orders: _containers.RepeatedCompositeFieldContainer[Order]
    def __init__(self, orders: _Optional[_Iterable[_Union[Order, _Mapping]]] = ...) -> None: ...

class CheckBatchResponse(_message.Message):
    __slots__ = ("decisions", "basis")
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    BASIS_FIELD_NUMBER: _ClassVar[int]
    decisions: _containers.RepeatedCompositeFieldContainer[Decision]
    basis: Basis
    def __init__(self, decisions: _Optional[_Iterable[_Union[Decision, _Mapping]]] = ..., basis: _Optional[_Union[Basis, _Mapping]] = ...) -> None: ...

class CheckStreamRequest(_message.Message):
    __slots__ = ("sequence", "orders")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    orders: _containers.RepeatedCompositeFieldContainer[Order]
    def __init__(self, sequence: _Optional[int] = ..., orders: _Optional[_Iterable[_Union[Order, _Mapping]]] = ...) -> None: ...

class CheckStreamResponse(_message.Message):
    __slots__ = ("sequence", "decisions", "basis")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    BASIS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    decisions: _containers.RepeatedCompositeFieldContainer[Decision]
    basis: Basis
    def __init__(self, sequence: _Optional[int] = ..., decisions: _Optional[_Iterable[_Union[Decision, _Mapping]]] = ..., basis: _Optional[_Union[Basis, _Mapping]] = ...) -> None: ...

class AccountStateRequest(_message.Message):
    __slots__ = ("account",)
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    account: str
    def __init__(self, account: _Optional[str] = ...) -> None: ...

class Holding(_message.Message):
    __slots__ = ("symbol", "position", "open_buys", "open_sells", "worst")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    OPEN_BUYS_FIELD_NUMBER: _ClassVar[int]
    OPEN_SELLS_FIELD_NUMBER: _ClassVar[int]
    WORST_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    position: str
    open_buys: str
    open_sells: str
    worst: str
    def __init__(self, symbol: _Optional[str] = ..., position: _Optional[str] = ..., open_buys: _Optional[str] = ..., open_sells: _Optional[str] = ..., worst: _Optional[str] = ...) -> None: ...

class AccountStateResponse(_message.Message):
    __slots__ = ("account", "holdings", "open_orders", "exposure", "standing", "margin_short", "basis")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    HOLDINGS_FIELD_NUMBER: _ClassVar[int]
    OPEN_ORDERS_FIELD_NUMBER: _ClassVar[int]
    EXPOSURE_FIELD_NUMBER: _ClassVar[int]
    STANDING_FIELD_NUMBER: _ClassVar[int]
    MARGIN_SHORT_FIELD_NUMBER: _ClassVar[int]
    BASIS_FIELD_NUMBER: _ClassVar[int]
    account: str
    holdings: _containers.RepeatedCompositeFieldContainer[Holding]
    open_orders: int
    exposure: str
    standing: _containers.RepeatedCompositeFieldContainer[Reason]
    margin_short: bool
    basis: Basis
    def __init__(self, account: _Optional[str] = ..., holdings: _Optional[_Iterable[_Union[Holding, _Mapping]]] = ..., open_orders: _Optional[int] = ..., exposure: _Optional[str] = ..., standing: _Optional[_Iterable[_Union[Reason, _Mapping]]] = ..., margin_short: _Optional[bool] = ..., basis: _Optional[_Union[Basis, _Mapping]] = ...) -> None: ...
