"""
Sends private messages (NIP-17) with nostr-sdk, and prints what came of it as JSON.

python nostr_sdk_private.py ws://127.0.0.1:7447/
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import timedelta
from typing import Any

from nostr_sdk import (
    Client,
    ClientBuilder,
    ClientNotification,
    Event,
    EventBuilder,
    Filter,
    Keys,
    Kind,
    RelayUrl,
    ReqTarget,
    SignerAuthenticator,
    Tag,
    UnwrappedGift,
    nip17_make_private_msg,
    uniffi_set_event_loop,
)

_PATIENCE = timedelta(seconds=20)


class _Person:
    """Somebody with a key, who proves to own it when a relay asks."""

    def __init__(self) -> None:
        self.keys = Keys.generate()
        self.client = (
            ClientBuilder().authenticator(SignerAuthenticator(self.keys)).build()
        )

    def read(self, wrap: Event) -> list[str]:
        """Who wrote what is in a gift wrap."""
        gift = UnwrappedGift.from_gift_wrap(self.keys, wrap)
        return [gift.sender().to_hex(), gift.rumor().content()]


async def _publish(client: Client, event: Event) -> str:
    """What the relay says against it; empty if it is accepted."""
    output = await client.send_event(event)
    return "" if output.success else next(iter(output.failed.values()))


async def _fetch(client: Client, target: ReqTarget) -> list[Event]:
    """The stored events; none if the relay refuses."""
    events: list[Event] = await client.fetch_events(target, _PATIENCE)
    return events


async def main(url: str) -> dict[str, Any]:
    """Send, fetch, and get live; what others see of it."""
    # The library signs answers to challenges from threads of its own.
    uniffi_set_event_loop(asyncio.get_running_loop())
    alice, bob, eve = _Person(), _Person(), _Person()
    stranger = Client()
    clients = [alice.client, bob.client, eve.client, stranger]
    for client in clients:
        await client.add_relay(RelayUrl.parse(url))
        await client.connect(_PATIENCE)
    receiver = bob.keys.public_key()
    bobs = json.dumps({"kinds": [1059], "#p": [receiver.to_hex()]})
    target = ReqTarget.auto([Filter.from_json(bobs)])
    seen: dict[str, Any] = {"alice": alice.keys.public_key().to_hex()}

    stored = nip17_make_private_msg(alice.keys, receiver, "for you, Bob 🔒")
    seen["sent"] = [await _publish(stranger, stored)]
    seen["bob"] = [bob.read(wrap) for wrap in await _fetch(bob.client, target)]
    everything = ReqTarget.auto(
        [Filter.from_json(f'{{"ids":["{stored.id().to_hex()}"]}}')]
    )
    seen["others"] = [
        len(await _fetch(client, everything)) for client in (stranger, eve.client)
    ]

    notifications = bob.client.notifications()
    await bob.client.subscribe(target)
    live = nip17_make_private_msg(alice.keys, receiver, "and again")
    seen["sent"].append(await _publish(alice.client, live))
    while True:
        found = await asyncio.wait_for(notifications.next(), 20)
        if isinstance(found, ClientNotification.NEW_EVENT):
            if found.event.id() == live.id():
                seen["live"] = bob.read(found.event)
                break

    builder = EventBuilder(Kind(1), "mine").tags([Tag.parse(["-"])])
    protected = builder.finalize(alice.keys)
    seen["protected"] = [
        await _publish(client, protected)
        for client in (stranger, eve.client, alice.client)
    ]
    for client in clients:
        await client.shutdown()
    return seen


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1]))), flush=True)
    # The threads of the library do not survive the end of the interpreter.
    os._exit(0)
