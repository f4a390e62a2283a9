# -*- test-case-name: tests.web -*-
"""
What the relay answers to plain HTTP: its information document (NIP-11) for clients,
a page for people, calls to manage it (NIP-86), and CORS headers on everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from nostrtx.interfaces.edge import IManagement
from nostrtx.nostr import json
from nostrtx.nostr.management import MEDIA_TYPE as CALL_TYPE
from nostrtx.relay.tasks import BackgroundTasks
from nostrtx.settings.identity import RelaySettings
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from nostrtx.web.answers import CORS_HEADERS, SERVER
from nostrtx.web.connection import path_of
from nostrtx.web.information import MEDIA_TYPE, information_of, wants_information
from nostrtx.web.landing import CONTENT_SECURITY_POLICY, LandingPage
from nostrtx.web.well_known import WELL_KNOWN_PATH, Names

_METHODS = "GET, HEAD, OPTIONS"
_METHODS_WITH_CALLS = "GET, HEAD, POST, OPTIONS"

_CALL_TYPE = f"{CALL_TYPE}; charset=utf-8"


class RootResource(Resource):
    """
    Everything that is not a WebSocket upgrade.

    Args:
        settings: What the document and the page tell.
        facts: Counters of the relay for the page.
        own_pubkey: The relay's own public key in hexadecimal, if it has one by then.
        presented: The settings with what has changed since.
        management: Answers calls to manage the relay, if the settings name somebody
            who may; None if nobody can.
    """

    isLeaf = True  # noqa: N815
    _log = Logger()

    def __init__(
        self,
        settings: LiveSettings,
        facts: Callable[[], Mapping[str, int]],
        own_pubkey: Callable[[], str],
        presented: Callable[[], Settings],
        management: IManagement | None,
    ) -> None:
        super().__init__()
        self._own_pubkey = own_pubkey
        self._presented = presented
        self._management = management
        self._tasks = BackgroundTasks()
        self._shown: RelaySettings | None = None
        self._facts = facts
        settings.follow(self._apply)

    def _apply(self, settings: Settings) -> None:
        self._is_managed = self._management is not None and settings.management.enabled
        self._methods = _METHODS_WITH_CALLS if self._is_managed else _METHODS
        # The page is made anew when it is asked for.
        self._shown = None
        self._names = Names(settings.nip05.names, settings.relay.url)

    def render(self, request: Request) -> int:
        """Answer any request at any path."""
        method = request.method.decode("latin-1")
        path = path_of(request.uri.decode("latin-1"))
        if method == "OPTIONS":
            request.setHeader("Allow", self._methods)
            self._answer(request, 204)
        elif path == WELL_KNOWN_PATH and self._names and method in ("GET", "HEAD"):
            names = self._names.answer(request.uri.decode("latin-1"))
            self._answer(request, 200, "application/json", names)
        elif path != "/":
            self._say(request, 404, "There is nothing here; the relay is at /.")
        elif method == "POST" and self._is_managed and self._management is not None:
            self._call(request, self._management)
        elif method not in ("GET", "HEAD"):
            request.setHeader("Allow", self._methods)
            self._say(request, 405, f"Not allowed here. Allowed: {self._methods}.")
        else:
            request.setHeader("Vary", "Accept")
            if wants_information(request.getHeader("accept") or ""):
                information = information_of(self._presented(), self._own_pubkey())
                self._answer(
                    request,
                    200,
                    f"{MEDIA_TYPE}; charset=utf-8",
                    json.dumps(information),
                )
            else:
                self._show_page(request)
        return NOT_DONE_YET

    def _call(self, request: Request, management: IManagement) -> None:
        """Answer a call to manage the relay, once it is done."""
        content_type = request.getHeader("content-type") or ""
        if content_type.partition(";")[0].strip().lower() != CALL_TYPE:
            self._say(request, 415, f"Calls are of the type {CALL_TYPE}.")
            return
        authorization: bytes | None = request.getAllHeaders().get(b"authorization")
        query = request.uri.partition(b"?")[2].decode("latin-1")
        content: Any = request.content
        answer = management.answer(authorization, query, content.read())
        self._tasks.start(self._finish_call(request, answer), "Answering a call")

    async def _finish_call(
        self, request: Request, answer: Deferred[tuple[int, bytes]]
    ) -> None:
        gone = request.notifyFinish()
        _ = gone.addErrback(lambda reason: None)
        code, body = await answer
        if gone.called:
            # What was asked for is done; nobody is there to hear it.
            return
        if code == 401:
            request.setHeader("WWW-Authenticate", "Nostr")
        request.setHeader("Cache-Control", "no-store")
        self._answer(request, code, _CALL_TYPE, body)

    def _show_page(self, request: Request) -> None:
        presented = self._presented()
        if presented.relay != self._shown:
            self._shown = presented.relay
            self._page = LandingPage(information_of(presented), presented)
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
