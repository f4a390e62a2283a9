# -*- test-case-name: tests.test_log_records -*-
"""
What is logged, as values: for a log of JSON objects, and to hand it to another process.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from string import Formatter
from typing import Any

import attrs
from twisted.logger import LogEvent, LogLevel, formatEvent
from twisted.python.failure import Failure

#: The key of a log event that holds what a worker has logged, as a record.
RECORD = "record"

#: In what may stand behind the name of a field.
_ENDS = str.maketrans(dict.fromkeys(".[(", "."))


@attrs.frozen
class Record:
    """
    One thing that was logged.

    Attributes:
        time: When, in seconds since 1970.
        level: The name of the level.
        namespace: Where in the code.
        text: The message.
        fields: What was put into the text, by name; numbers, texts, true and false.
        traceback: Of the failure, if it tells of one.
    """

    time: float
    level: str
    namespace: str
    text: str
    fields: Mapping[str, Any] = attrs.field(factory=dict)
    traceback: str = ""

    @property
    def whole_text(self) -> str:
        """The message, with the traceback below it."""
        return "\n".join(filter(None, (self.text, self.traceback)))


def record_of(event: LogEvent) -> Record | None:
    """What a log event of Twisted tells; None if that is nothing."""
    failure = event.get("log_failure")
    traceback = failure.getTraceback() if isinstance(failure, Failure) else ""
    text = formatEvent(event)
    if not text and not traceback:
        return None
    level: Any = event.get("log_level") or LogLevel.info
    return Record(
        event.get("log_time", 0.0),
        level.name,
        event.get("log_namespace") or "-",
        text,
        _fields_of(event),
        traceback.rstrip("\n"),
    )


def json_line(event: LogEvent) -> str | None:
    """A log event as a JSON object on a line; None if there is nothing to tell."""
    worker = None
    record = event.get(RECORD)
    if isinstance(record, Record):
        worker = event.get("worker")
    else:
        record = record_of(event)
        if record is None:
            return None
    time = datetime.fromtimestamp(record.time, UTC)
    members = {
        "time": f"{time:%Y-%m-%dT%H:%M:%S.%f}Z",
        "level": record.level,
        "namespace": record.namespace,
        "text": record.text,
        "worker": worker,
        "fields": record.fields or None,
        "traceback": record.traceback or None,
    }
    shown = {name: value for name, value in members.items() if value is not None}
    # ASCII only: no other character ends a line, or is none.
    return json.dumps(shown, separators=(",", ":"), allow_nan=False) + "\n"


def _fields_of(event: LogEvent) -> dict[str, Any]:
    """What an event's format names, so that nothing is told but what the text tells."""
    try:
        parts = list(Formatter().parse(event.get("log_format") or ""))
    except (TypeError, ValueError):
        return {}
    fields = {}
    for _, field, _, _ in parts:
        name = (field or "").translate(_ENDS).partition(".")[0]
        if name in event and not name.startswith("log_"):
            fields[name] = _plain(event[name])
    return fields


def _plain(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__}>"
