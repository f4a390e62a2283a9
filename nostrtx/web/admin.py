# -*- test-case-name: tests.web.test_admin -*-
"""
The operator's pages: metrics for Prometheus, and health for whoever spreads clients.

They have a port of their own, for they are not for everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, TypeVar

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from nostrtx.interfaces.store import IEventStore, StoreError
from nostrtx.nostr import json
from nostrtx.relay.tasks import BackgroundTasks
from nostrtx.web.answers import SERVER
from nostrtx.web.connection import path_of
from nostrtx.web.metrics import StoreState, exposition

_T = TypeVar("_T")

#: How long the store may take to answer, in seconds.
STORE_SECONDS: Final = 3.0

_METHODS: Final = "GET, HEAD"

_PAGES: Final = "There are /metrics, /healthz and /readyz."


class AdminResource(Resource):
    """
    Metrics and health of one process, and of those of its machine.

    Args:
        store: Is asked whether it answers, and how large it is.
        facts: What the processes of this machine have counted.
        faults: Why this process is not ready, by what is not, apart from the store.
        certificate_ends: When certificates end, in seconds since 1970, by endpoint.
        clock: Bounds how long the store may take.
    """

    isLeaf = True  # noqa: N815
    _log = Logger()

    def __init__(
        self,
        store: IEventStore,
        facts: Callable[[], Mapping[str, int]],
        faults: Callable[[], Mapping[str, str]],
        certificate_ends: Callable[[], Mapping[str, float]],
        clock: IReactorTime,
    ) -> None:
        super().__init__()
        self._store = store
        self._facts = facts
        self._faults = faults
        self._certificate_ends = certificate_ends
        self._clock = clock
        self._tasks = BackgroundTasks()

    def stop(self) -> None:
        """Answer nothing any more that still waits for the store."""
        self._tasks.cancel_all()

    def render(self, request: Request) -> int:
        """Answer any request."""
        page = {
            "/metrics": self._show_metrics,
            "/healthz": self._show_health,
            "/readyz": self._show_readiness,
        }.get(path_of(request.uri.decode("latin-1")))
        if page is None:
            self._answer(request, 404, f"{_PAGES}\n".encode())
        elif request.method not in (b"GET", b"HEAD"):
            request.setHeader("Allow", _METHODS)
            self._answer(request, 405, f"Allowed: {_METHODS}.\n".encode())
        else:
            cancel = self._tasks.start(
                self._show(page, request), "Answering the operator"
            )
            gone = request.notifyFinish()
            _ = gone.addErrback(lambda reason: cancel())
        return NOT_DONE_YET

    async def _show(
        self,
        page: Callable[[Request], Coroutine[Deferred[Any], Any, None]],
        request: Request,
    ) -> None:
        """Answer, whatever happens: nobody is to wait for an answer for good."""
        try:
            await page(request)
        except CancelledError:
            raise
        except Exception:
            self._log.failure("Answering the operator failed.")
            self._answer(request, 500, b"internal error\n")

    async def _show_health(self, request: Request) -> None:
        self._answer(request, 200, b"ok\n")

    async def _show_readiness(self, request: Request) -> None:
        faults = dict(self._faults())
        try:
            await self._ask_store()
        except StoreError as error:
            faults["store"] = str(error)
        body = json.dumps({"ready": not faults, "faults": faults})
        # HAProxy takes 404 for "send nobody new, and let those stay who are here".
        unready = 404 if (request.args or {}).get(b"unready") == [b"404"] else 503
        code = unready if faults else 200
        self._answer(request, code, body + b"\n", "application/json")

    async def _show_metrics(self, request: Request) -> None:
        if "cluster" in self._faults():
            # It does not know yet what others have counted, or counted before: sums
            # that fall would be taken for a new start, and be wrong when they rise.
            self._answer(request, 503, b"The other processes are not joined yet.\n")
            return
        store = await self._store_state()
        body, media_type = exposition(self._facts(), store, self._certificate_ends())
        self._answer(request, 200, body, media_type)

    async def _store_state(self) -> StoreState:
        try:
            await self._ask_store()
        except StoreError:
            return StoreState(False)
        try:
            sizes = await self._in_time(self._store.sizes())
        except StoreError:
            # Which is known only if it is not too busy to say.
            sizes = {}
        return StoreState(True, self._store.last_seq(), sizes)

    async def _ask_store(self) -> None:
        """
        Find out whether the store answers, with a question that is cheap.

        Raises:
            StoreError: It does not.
        """
        try:
            await self._in_time(self._store.ban_changes(0, 1))
        except (StoreError, CancelledError):
            raise
        except Exception:
            self._log.failure("Asking the store failed.")
            raise StoreError("internal error") from None

    async def _in_time(self, answer: Deferred[_T] | _T) -> _T:
        """
        What the store answers.

        Raises:
            StoreError: It takes too long.
        """
        if not isinstance(answer, Deferred):
            return answer
        try:
            return await answer.addTimeout(STORE_SECONDS, self._clock)
        except TimeoutError:
            raise StoreError(
                f"the store has not answered for {STORE_SECONDS:g} s"
            ) from None

    def _answer(
        self,
        request: Request,
        code: int,
        body: bytes,
        content_type: str = "text/plain; charset=utf-8",
    ) -> None:
        request.setResponseCode(code)
        request.setHeader("Server", SERVER)
        request.setHeader("Cache-Control", "no-store")
        request.setHeader("Content-Type", content_type)
        request.setHeader("X-Content-Type-Options", "nosniff")
        request.setHeader("Content-Length", str(len(body)))
        request.write(body)
        request.finish()
