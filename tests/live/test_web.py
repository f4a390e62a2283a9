"""What a browser and an ordinary HTTP client get from the relay's URL."""

from __future__ import annotations

import json
import shutil
from urllib.request import Request, urlopen

from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SkipTest

from tests.live.live_case import LiveTestCase
from tests.live.reactor import reactor

_SETTINGS = '[relay]\nname = "Café relay"\ndescription = "Tea & <b>notes</b>"\n'


class BrowserTests(LiveTestCase):
    """Who opens the relay's URL in a browser learns what it is."""

    async def test_landing_page(self) -> None:
        """Chromium shows the relay's name, what it says of itself, and its URL."""
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        if chromium is None:
            raise SkipTest("needs Chromium: make test installs it when run as root")
        relay = await self.start_relay(_SETTINGS)
        page, errors, code = await getProcessOutputAndValue(
            chromium,
            [
                *("--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
                f"--user-data-dir={self.directory / 'profile'}",
                relay.url.replace("ws://", "http://"),
            ],
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.directory)},
            reactor=reactor,
        )
        self.assertEqual(code, 0, errors.decode())
        text = page.decode()
        self.assertIn("<title>Café relay", text)
        self.assertIn("Café relay</h1>", text)
        self.assertIn("Tea &amp; &lt;b&gt;notes&lt;/b&gt;", text)
        self.assertIn(relay.url, text)


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
