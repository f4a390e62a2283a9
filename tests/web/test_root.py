"""Tests for :mod:`nostrtx.web.root`."""

from __future__ import annotations

import json
from typing import Any

from nostrtx import __version__
from nostrtx.settings.identity import RelaySettings
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from nostrtx.web.information import information_of
from nostrtx.web.site import relay_site
from tests.web.fakes import Edge
from tests.web.test_site import SiteCase


class Answer:
    """
    An HTTP answer, taken apart.

    Attributes:
        code: Its status.
        headers: By lower-case name.
        body: What follows.
    """

    def __init__(self, answer: bytes) -> None:
        head, _, self.body = answer.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        self.code = int(status.split()[1])
        pairs = (line.partition(": ") for line in lines)
        self.headers = {name.lower(): value for name, _, value in pairs}


class RootTests(SiteCase):
    """Tests for :class:`nostrtx.web.root.RootResource`."""

    def get(
        self, method: str = "GET", path: str = "/", accept: str | None = None
    ) -> Answer:
        """The answer to a request."""
        request = f"{method} {path} HTTP/1.1\r\nHost: relay.example\r\n"
        if accept is not None:
            request += f"Accept: {accept}\r\n"
        return Answer(self.ask(f"{request}\r\n".encode()))

    def test_information(self) -> None:
        """Who accepts the document's type gets the document."""
        for accept in (
            "application/nostr+json",
            "text/html;q=0.4, Application/Nostr+JSON;q=0.5, */*",
        ):
            answer = self.get(accept=accept)
            self.assertEqual(answer.code, 200)
            self.assertEqual(json.loads(answer.body), information_of(Settings()))
            self.assertEqual(
                answer.headers["content-type"], "application/nostr+json; charset=utf-8"
            )
            self.assertEqual(answer.headers["vary"], "Accept")

    def test_page(self) -> None:
        """Anyone else gets a page."""
        for accept in (None, "*/*", "text/html", "application/json"):
            answer = self.get(accept=accept)
            self.assertEqual(answer.code, 200)
            self.assertEqual(answer.headers["content-type"], "text/html; charset=utf-8")
            self.assertEqual(answer.headers["vary"], "Accept")
            self.assertIn(b"ws://relay.example/", answer.body)

    def test_head(self) -> None:
        """HEAD gets the headers of GET and nothing else."""
        for accept in ("application/nostr+json", "text/html"):
            whole = self.get(accept=accept)
            head = self.get("HEAD", accept=accept)
            self.assertEqual(head.body, b"")
            del whole.headers["date"], head.headers["date"]
            self.assertEqual(head.headers, whole.headers)
            self.assertEqual(int(head.headers["content-length"]), len(whole.body))

    def test_options(self) -> None:
        """A preflight is answered at any path, without a body."""
        for path in ("/", "/x", "*"):
            answer = self.get("OPTIONS", path)
            self.assertEqual(answer.code, 204, path)
            self.assertEqual(answer.body, b"")

    def test_other_paths(self) -> None:
        """There is nothing elsewhere."""
        for path in ("/x", "/favicon.ico", "//", "http://relay.example/y"):
            answer = self.get(path=path, accept="application/nostr+json")
            self.assertEqual(answer.code, 404, path)
            self.assertLess(len(answer.body), 100)

    def test_same_path(self) -> None:
        """A query changes nothing, nor does the long form."""
        for path in ("/?a=b", "http://relay.example/"):
            self.assertEqual(self.get(path=path).code, 200, path)

    def test_other_methods(self) -> None:
        """Other methods are refused, and the right ones named."""
        for method in ("POST", "PUT", "DELETE", "BREW"):
            answer = self.get(method)
            self.assertEqual(answer.code, 405, method)
            self.assertEqual(answer.headers["allow"], "GET, HEAD, OPTIONS")

    def test_on_every_answer(self) -> None:
        """Each answer lets any web page read it, and names the software."""
        for method, path in (
            ("GET", "/"),
            ("HEAD", "/"),
            ("OPTIONS", "/"),
            ("OPTIONS", "*"),
            ("GET", "/x"),
            ("POST", "/"),
        ):
            headers = self.get(method, path).headers
            self.assertEqual(headers["access-control-allow-origin"], "*")
            self.assertIn("Authorization", headers["access-control-allow-headers"])
            self.assertIn("Accept", headers["access-control-allow-headers"])
            self.assertIn("GET", headers["access-control-allow-methods"])
            self.assertEqual(headers["server"], f"nostrtx/{__version__}")

    def test_page_fails(self) -> None:
        """A page that cannot be made is logged and answered, not left hanging."""

        def facts() -> dict[str, int]:
            raise ValueError("on purpose")

        edge = Edge()
        self.site = relay_site(
            edge.websockets, LiveSettings(Settings()), facts, edge.clock
        )
        answer = self.get()
        self.assertEqual(answer.code, 500)
        self.assertEqual(answer.headers["access-control-allow-origin"], "*")
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_settings(self) -> None:
        """The document tells what the settings say."""
        edge = Edge()
        settings = Settings(relay=RelaySettings(name="ours", description="für alle"))
        self.site = relay_site(
            edge.websockets, LiveSettings(settings), dict, edge.clock
        )
        document: Any = json.loads(self.get(accept="application/nostr+json").body)
        self.assertEqual(document["name"], "ours")
        self.assertEqual(document["description"], "für alle")
