"""Trial's reactor. Its type is made at run time, so for mypy it is anything."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as _reactor

reactor: Any = _reactor
