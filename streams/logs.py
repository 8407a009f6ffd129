"""Logs: structlog, always to stderr; for people on a terminal, JSON lines everywhere else."""

from __future__ import annotations

import logging
import sys
from json import dumps
from typing import TextIO

import structlog

_secrets: set[str] = set()  # of this process, in every way in which logs write them

_QUIET = ("aiokafka", "asyncio", "faust", "mode")  # libraries that report each retry and each rebalance step
_MUTE = ("kafka",)  # kafka-python: what goes wrong reaches the caller as an exception, which becomes our one line


_dict_tracebacks = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)  # locals hold passwords
)


def hide(secret: str) -> None:
    """Leave the text out of every log line from now on: libraries log requests, and one of them is the login."""
    if secret:
        written = {secret, repr(secret)[1:-1], repr(secret.encode())[2:-1]}
        _secrets.update(written | {dumps(text)[1:-1] for text in written})


def without_secrets(text: str) -> str:
    """The text with stars where a secret stands."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


class _WithoutSecrets(structlog.stdlib.ProcessorFormatter):
    """Leaves secrets out, whoever logs them and in whatever field."""

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


def configure_logs(level: str = "info", *, json: bool | None = None, stream: TextIO | None = None) -> None:
    """Send the logs of this process, those of its libraries included, to stderr.

    Args:
        level: the lowest level shown: debug, info, warning, error. Libraries are quieter: they show warnings and
            errors only, kafka-python nothing, unless the level is debug.
        json: one JSON object a line; by default so when stderr is no terminal.
        stream: instead of stderr.
    """
    out = stream or sys.stderr
    as_json = not out.isatty() if json is None else json
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    last: list[structlog.typing.Processor]
    if as_json:
        last = [_dict_tracebacks, structlog.processors.JSONRenderer()]
    else:
        plain = structlog.dev.plain_traceback  # the default shows the frames' variables, passwords among them
        last = [structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=plain)]
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        _WithoutSecrets(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        ),
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(number)
    for names, at_least in ((_QUIET, logging.WARNING), (_MUTE, logging.CRITICAL)):
        for name in names:
            logging.getLogger(name).setLevel(number if number <= logging.DEBUG else max(number, at_least))
