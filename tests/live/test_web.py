"""What a browser and an ordinary HTTP client get from the relay's URL."""

from __future__ import annotations

import json
import shutil
from urllib.request import Request, urlopen

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SkipTest
from twisted.web.http import Request as Asked
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site
from twisted.web.static import Data

from tests.live.live_case import LiveTestCase
from tests.live.occasion import Occasion
from tests.live.reactor import reactor

#: Connects to a relay, and is loaded when it has said whether it may.
_PAGE = """<!doctype html><title>A client</title><p id="answer">none</p>
<img src="/loaded"><script>
const socket = new WebSocket("URL")
const say = text => () => {
  document.getElementById("answer").textContent = text
  fetch("/said")
}
socket.onopen = say("is open")
socket.onerror = say("is refused")
</script>"""

_SETTINGS = '[relay]\nname = "Café relay"\ndescription = "Tea & <b>notes</b>"\n'


class _Said(Resource):
    """With this a page tells that it has said what it has to say."""

    def __init__(self, said: Occasion[bool]) -> None:
        super().__init__()
        self._said = said

    def render_GET(self, request: Asked) -> bytes:
        self._said.happens(True)
        return b""


class _Loaded(Resource):
    """Keeps a page loading until then."""

    def __init__(self, said: Occasion[bool]) -> None:
        super().__init__()
        self._said = said

    def render_GET(self, request: Asked) -> int:
        _ = Deferred.fromCoroutine(self._finish(request))
        return NOT_DONE_YET

    async def _finish(self, request: Asked) -> None:
        await self._said.wait(20)
        request.finish()


class BrowserTests(LiveTestCase):
    """Who opens the relay's URL in a browser learns what it is."""

    async def shown(self, url: str, *options: str) -> str:
        """What Chromium makes of the page at ``url``."""
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        if chromium is None:
            raise SkipTest("needs Chromium: make test installs it when run as root")
        page, errors, code = await getProcessOutputAndValue(
            chromium,
            [
                *("--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
                f"--user-data-dir={self.directory / 'profile'}",
                *options,
                url,
            ],
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.directory)},
            reactor=reactor,
        )
        self.assertEqual(code, 0, errors.decode())
        text: str = page.decode()
        return text

    async def test_landing_page(self) -> None:
        """Chromium shows the relay's name, what it says of itself, and its URL."""
        relay = await self.start_relay(_SETTINGS)
        text = await self.shown(relay.url.replace("ws://", "http://"))
        self.assertIn("<title>Café relay", text)
        self.assertIn("Café relay</h1>", text)
        self.assertIn("Tea &amp; &lt;b&gt;notes&lt;/b&gt;", text)
        self.assertIn(relay.url, text)

    async def test_origins(self) -> None:
        """A page may use the relay if it comes from where that is allowed."""
        pages = Resource()
        port = reactor.listenTCP(0, Site(pages), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        allowed = f"http://127.0.0.1:{port.getHost().port}"
        relay = await self.start_relay(f"websocket.allowed_origins = ['{allowed}']\n")
        pages.putChild(
            b"page", Data(_PAGE.replace("URL", relay.url).encode(), "text/html")
        )
        for origin, answer in (
            (allowed, "is open"),
            (allowed.replace("127.0.0.1", "localhost"), "is refused"),
        ):
            said: Occasion[bool] = Occasion()
            pages.putChild(b"loaded", _Loaded(said))
            pages.putChild(b"said", _Said(said))
            text = await self.shown(f"{origin}/page")
            self.assertIn(f'<p id="answer">{answer}</p>', text)


class HTTPTests(LiveTestCase):
    """Who asks the relay's URL for its information document gets it (NIP-11)."""

    async def test_information_document(self) -> None:
        """It comes with the CORS headers that browsers need, and tells the limits."""
        relay = await self.start_relay(_SETTINGS + "[limits]\nmax_limit = 77\n")
        request = Request(
            relay.url.replace("ws://", "http://"),
            headers={"Accept": "application/nostr+json"},
        )

        def fetch() -> tuple[dict[str, str], bytes]:
            with urlopen(request, timeout=20) as response:
                return dict(response.headers), response.read()

        headers, body = await deferToThread(fetch)
        self.assertEqual(headers["Access-Control-Allow-Origin"], "*")
        self.assertIn("application/nostr+json", headers["Content-Type"])
        document = json.loads(body)
        self.assertEqual(document["name"], "Café relay")
        self.assertEqual(document["limitation"]["max_limit"], 77)
        self.assertLessEqual({1, 9, 11}, set(document["supported_nips"]))
