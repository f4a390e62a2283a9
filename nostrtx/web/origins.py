# -*- test-case-name: tests.web.test_origins -*-
"""
Where a web page that connects comes from (RFC 6454), and whether it may.

A browser names the origin of the page and no page can change that. Other clients name
none, or any they like: this keeps out web pages and nobody else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_USUAL_PORTS: Final = {"http": ":80", "https": ":443"}


class AllowedOrigins:
    """
    The origins from which pages may connect.

    Args:
        allowed: All of them; none for any.
    """

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = frozenset(map(_same, allowed))

    def refusal(self, origin: str) -> tuple[int, str] | None:
        """
        HTTP status and reason if a page may not connect, else None.

        Args:
            origin: Where it is from, as the browser names it; empty if nothing does.
        """
        if not self._allowed or not origin or _same(origin) in self._allowed:
            return None
        return 403, "pages from where you are may not connect to this relay"


def _same(origin: str) -> str:
    """The origin in one spelling."""
    origin = origin.lower()
    if origin == "file://":
        # What Chromium calls a local file; others call it "null".
        return "null"
    scheme = origin.partition(":")[0]
    return origin.removesuffix(_USUAL_PORTS.get(scheme, ""))
