# -*- test-case-name: tests.web.test_root -*-
"""
What the relay answers to plain HTTP: its information document (NIP-11) for clients,
a page for people, and CORS headers on everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.logger import Logger
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from nostrtx.config import Settings
from nostrtx.nostr import json
from nostrtx.web.answers import CORS_HEADERS, SERVER
from nostrtx.web.connection import path_of
from nostrtx.web.information import MEDIA_TYPE, information_of, wants_information
from nostrtx.web.landing import CONTENT_SECURITY_POLICY, LandingPage
from nostrtx.web.well_known import WELL_KNOWN_PATH, Names

_METHODS = "GET, HEAD, OPTIONS"


class RootResource(Resource):
    """
    Everything that is not a WebSocket upgrade.

    Args:
        settings: What the document and the page tell.
        facts: Counters of the relay for the page.
        own_pubkey: The relay's own public key in hexadecimal, if it has one by then.
    """

    isLeaf = True  # noqa: N815
    _log = Logger()

    def __init__(
        self,
        settings: Settings,
        facts: Callable[[], Mapping[str, int]],
        own_pubkey: Callable[[], str] = str,
    ) -> None:
        super().__init__()
        self._settings = settings
        self._own_pubkey = own_pubkey
        self._page = LandingPage(information_of(settings), settings)
        self._names = Names(settings.nip05.names, settings.relay.url)
        self._facts = facts

    def render(self, request: Request) -> int:
        """Answer any request at any path."""
        method = request.method.decode("latin-1")
        path = path_of(request.uri.decode("latin-1"))
        if method == "OPTIONS":
            request.setHeader("Allow", _METHODS)
            self._answer(request, 204)
        elif path == WELL_KNOWN_PATH and self._names and method in ("GET", "HEAD"):
            names = self._names.answer(request.uri.decode("latin-1"))
            self._answer(request, 200, "application/json", names)
        elif path != "/":
            self._say(request, 404, "There is nothing here; the relay is at /.")
        elif method not in ("GET", "HEAD"):
            request.setHeader("Allow", _METHODS)
            self._say(request, 405, f"Not allowed here. Allowed: {_METHODS}.")
        else:
            request.setHeader("Vary", "Accept")
            if wants_information(request.getHeader("accept") or ""):
                information = information_of(self._settings, self._own_pubkey())
                self._answer(
                    request,
                    200,
                    f"{MEDIA_TYPE}; charset=utf-8",
                    json.dumps(information),
                )
            else:
                self._show_page(request)
        return NOT_DONE_YET

    def _show_page(self, request: Request) -> None:
        try:
            page = self._page.html(self._facts(), request.getHeader("host") or "")
        except Exception:
            self._log.failure("The relay's page could not be made.")
            self._say(request, 500, "Internal error.")
            return
        request.setHeader("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        request.setHeader("Referrer-Policy", "no-referrer")
        request.setHeader("Cache-Control", "no-cache")
        self._answer(request, 200, "text/html; charset=utf-8", page.encode())

    def _say(self, request: Request, code: int, text: str) -> None:
        self._answer(request, code, "text/plain; charset=utf-8", f"{text}\n".encode())

    def _answer(
        self, request: Request, code: int, content_type: str = "", body: bytes = b""
    ) -> None:
        request.setResponseCode(code)
        request.setHeader("Server", SERVER)
        for name, value in CORS_HEADERS:
            request.setHeader(name, value)
        if content_type:
            request.setHeader("Content-Type", content_type)
            request.setHeader("X-Content-Type-Options", "nosniff")
            request.setHeader("Content-Length", str(len(body)))
            request.write(body)
        request.finish()
