"""A relay with an owner and a moderator, and their calls."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.json import dumps
from nostrtx.relay.management.management import Management
from nostrtx.settings.access import ManagementSettings, MembershipSettings
from nostrtx.settings.identity import RelaySettings
from nostrtx.settings.storing import StoreSettings
from nostrtx.settings.tree import Settings
from tests.relay.fakes import RELAY_URL, RelayUnderTest
from tests.relay.membership.membership_case import PoolReactor
from tests.storage.events import public_key, signed_event

#: Secret keys.
OWNER, MODERATOR, STRANGER = 1, 2, 3


def authorization(
    secret: int, body: bytes, created_at: int, url: str = RELAY_URL
) -> bytes:
    """The header that authorizes to one POST request."""
    tags = [["u", url], ["method", "POST"], ["payload", sha256(body).hexdigest()]]
    event = signed_event(secret, kind=27235, tags=tags, created_at=created_at)
    return b"Nostr " + b64encode(event.raw)


class ManagementCase(SynchronousTestCase):
    """
    A relay that is managed.

    Attributes:
        membership: Its settings of that name.
        under_test: The relay.
        management: What is called.
    """

    membership = MembershipSettings()

    def setUp(self) -> None:
        """Start the relay."""
        self.under_test = RelayUnderTest(
            Settings(
                relay=RelaySettings(name="stated"),
                store=StoreSettings(url="memory:"),
                membership=self.membership,
                management=ManagementSettings(
                    owners=(public_key(OWNER).hex(),),
                    moderators=(public_key(MODERATOR).hex(),),
                ),
            )
        )
        relay = self.under_test.relay
        relay.start(PoolReactor(), 0)
        self.addCleanup(relay.stop)
        self.addCleanup(relay.drain)
        assert relay.management is not None
        self.management: Management = relay.management
        self._calls = 0

    def post(
        self, header: bytes | None, body: bytes, query: str = ""
    ) -> tuple[int, Any]:
        """The status and the JSON of the answer to a request."""
        answer = self.management.answer(header, query, body)
        status, text = self.successResultOf(answer)
        return status, json.loads(text)

    def signed(self, body: bytes, secret: int = OWNER, query: str = "") -> Any:
        """The answer to a body that was signed just now."""
        now = int(self.under_test.clock.seconds())
        url = f"{RELAY_URL}?{query}" if query else RELAY_URL
        return self.post(authorization(secret, body, now, url), body, query)

    def call(self, method: str, *params: object, by: int = OWNER) -> Any:
        """The whole answer to a call, which is like no call before it."""
        self._calls += 1
        body = dumps({"method": method, "params": params, "n": self._calls})
        status, answer = self.signed(body, by)
        self.assertEqual(status, 200)
        return answer

    def result(self, method: str, *params: object, by: int = OWNER) -> Any:
        """The result of a call that goes well."""
        answer = self.call(method, *params, by=by)
        self.assertEqual(answer.keys(), {"result"}, answer)
        return answer["result"]

    def error(self, method: str, *params: object, by: int = OWNER) -> str:
        """The error of a call that does not."""
        answer = self.call(method, *params, by=by)
        self.assertEqual(answer.keys(), {"error"}, answer)
        error: str = answer["error"]
        return error
