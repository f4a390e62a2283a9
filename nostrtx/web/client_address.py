# -*- test-case-name: tests.web.test_client_address -*-
"""
Whose connection it is: peer addresses, and how many connections each may hold.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from twisted.internet.interfaces import IReactorTime

from nostrtx.interfaces.processes import IOtherProcesses
from nostrtx.relay.networks import address_group
from nostrtx.settings.live import LiveSettings
from nostrtx.web.elsewhere import ConnectionsElsewhere


def peer_address(peer: Any) -> str:
    """The IP address in what ``ITransport.getPeer`` gives; empty if there is none."""
    host = getattr(peer, "host", "")
    return host if isinstance(host, str) else ""


class ConnectionLimits:
    """
    Counts open connections and says when there are too many.

    Args:
        settings: ``max_connections`` and ``max_connections_per_address``.
        others: The relay's other processes, whose connections count as well.
        clock: Says when those are told.
    """

    def __init__(
        self, settings: LiveSettings, others: IOtherProcesses, clock: IReactorTime
    ) -> None:
        self._settings = settings
        self._count = 0
        self._by_group: Counter[str] = Counter()
        self._elsewhere = ConnectionsElsewhere(others, clock, self._own)

    def refusal(self, address: str) -> tuple[int, str] | None:
        """HTTP status and reason if one more may not connect, else None."""
        limits = self._settings.now.limits
        if 0 < limits.max_connections <= self._count + self._elsewhere.count:
            return 503, "too many connections"
        most = limits.max_connections_per_address
        if most > 0 and (group := address_group(address)):
            held = self._by_group[group] + self._elsewhere.of_group(group)
            if most <= held:
                return 429, "too many connections from your address"
        return None

    def opened(self, address: str) -> None:
        """Count one more connection."""
        self._count += 1
        if group := address_group(address):
            self._by_group[group] += 1
        self._elsewhere.changed(group)

    def closed(self, address: str) -> None:
        """Count one connection less."""
        self._count -= 1
        if group := address_group(address):
            self._by_group[group] -= 1
            if not self._by_group[group]:
                del self._by_group[group]
        self._elsewhere.changed(group)

    def _own(self) -> tuple[int, Counter[str]]:
        return self._count, self._by_group
