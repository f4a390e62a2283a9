# -*- test-case-name: tests.relay.test_fan_out -*-
"""
One open subscription: first stored events, then live ones (NIP-01, REQ).

While the stored events are being sent (*replaying*), live ones wait; after EOSE
they are sent as they come (*live*).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from nostrtx.interfaces.edge import IClient
from nostrtx.nostr.errors import Rejected
from nostrtx.nostr.json import dumps
from nostrtx.nostr.relay_messages import event_prefix
from nostrtx.relay.session_auth import SessionAuth

#: How much of live events may wait for the stored ones, in bytes. What is beyond
#: closes the subscription: a client that slow would lose them anyway.
MAX_WAITING_BYTES: Final = 4 * 1024 * 1024


class Subscription:
    r"""
    A subscription of one client.

    Args:
        client: Where its events go.
        auth: Who the client has proved to be.
        id\_: The client's name for it.
        refuse: Ends the subscription of that name and says why.

    Attributes:
        client: Where its events go.
        auth: Who the client has proved to be.
        id_json: The client's name for it, as JSON.
        prefix: What stands before the event in its EVENT messages.
        floor: Live events whose ``seq`` is at or below are the query's to send.
        waiting: Live events while replaying, each as its ``seq`` and its message body;
            None once it is live.
        cancel_query: Ends the stored query while it runs, None before and after.
    """

    __slots__ = (
        "_id",
        "_refuse",
        "_waiting_bytes",
        "auth",
        "cancel_query",
        "client",
        "floor",
        "id_json",
        "indexed",
        "prefix",
        "waiting",
    )

    def __init__(
        self,
        client: IClient,
        auth: SessionAuth,
        id_: str,
        refuse: Callable[[str, Rejected], None],
    ) -> None:
        self.client = client
        self.auth = auth
        self._id = id_
        self._refuse = refuse
        self.id_json = dumps(id_)
        self.prefix = event_prefix(self.id_json)
        self.floor = 0
        self.waiting: list[tuple[int, bytes]] | None = []
        self.cancel_query: Callable[[], None] | None = None
        self.indexed: tuple[object, ...] = ()
        self._waiting_bytes = 0

    def refuse(self, refusal: Rejected) -> None:
        """End it with a CLOSED that says why."""
        self._refuse(self._id, refusal)

    def hold_back(self, seq: int, body: bytes) -> bool:
        """
        Keep a live event until EOSE; False if it is too much.

        Args:
            seq: Its place in the arrival log; 0 for an ephemeral event.
            body: The event's message behind the prefix.
        """
        assert self.waiting is not None
        self._waiting_bytes += len(self.prefix) + len(body)
        if self._waiting_bytes > MAX_WAITING_BYTES:
            return False
        self.waiting.append((seq, body))
        return True

    def go_live(self) -> int:
        """
        Send what has waited; from now on events are sent as they come.

        Returns:
            How many live events were sent.
        """
        waiting, self.waiting = self.waiting, None
        if not waiting:
            return 0
        # The floor may have become known only after they began to wait.
        bodies = [body for seq, body in waiting if not 0 < seq <= self.floor]
        for body in bodies:
            self.client.send(self.prefix + body)
        return len(bodies)
