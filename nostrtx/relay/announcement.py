# -*- test-case-name: tests.relay.test_announcement -*-
"""The relay's announcement of itself, renewed now and then (NIP-66)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from nostrtx.nostr.discovery import RELAY_DISCOVERY, discovery_tags
from nostrtx.nostr.json import dumps
from nostrtx.relay.own_events import Draft, OwnEvents
from nostrtx.relay.tasks import BackgroundTasks
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings


class Announcement:
    """
    Tells those who look for relays about this one.

    Args:
        own: Publishes for the relay.
        clock: Wall-clock time.
        information: Its information document of the moment.
        settings: Where clients find the relay, what else is told, and how often.
    """

    _log = Logger()

    def __init__(
        self,
        own: OwnEvents,
        clock: IReactorTime,
        information: Callable[[], Mapping[str, Any]],
        settings: LiveSettings,
    ) -> None:
        self._own = own
        self._clock = clock
        self._information = information
        self._settings = settings
        self._tasks = BackgroundTasks()
        self._runs = False
        settings.follow(self._apply)

    def start(self) -> None:
        """
        Announce the relay, unless that was done lately, and again every so often.

        All of that while the settings want it, and the relay's key is there by then.
        """
        self._runs = True
        if self._settings.now.discovery.announce:
            self._tasks.start(self._run(), "Announcing the relay")

    def stop(self) -> None:
        """Announce no more."""
        self._runs = False
        self._tasks.cancel_all()

    def _apply(self, settings: Settings) -> None:
        if self._runs:
            # What is announced may be another thing now: it is looked at at once.
            self._tasks.cancel_all()
            self.start()

    async def _run(self) -> None:
        while True:
            seconds: float = self._settings.now.discovery.refresh_seconds
            try:
                seconds = await self._announce()
            except CancelledError:
                raise
            except Exception:
                self._log.failure("The relay could not be announced.")
            await deferLater(self._clock, seconds)

    async def _announce(self) -> float:
        """See to it that the relay is announced; for how many seconds it is then."""
        draft = self._draft()
        seconds = await self._lasts(draft)
        if seconds <= 0:
            # Every process of the relay looks after it; one announces it.
            leave = await self._own.alone(self._clock.seconds())
            try:
                seconds = await self._lasts(draft)
                if seconds <= 0:
                    await self._own.publish([draft])
                    seconds = self._settings.now.discovery.refresh_seconds
            finally:
                leave()
        return seconds

    async def _lasts(self, draft: Draft) -> float:
        """For how many seconds what is stored already holds; 0 if it does not."""
        refresh = self._settings.now.discovery.refresh_seconds
        for event in await self._own.stored(draft.kind):
            if self._own.sign(draft, event.created_at).id == event.id:
                age = self._clock.seconds() - event.created_at
                return min(refresh - age, refresh)
        return 0

    def _draft(self) -> Draft:
        information = self._information()
        settings = self._settings.now.discovery
        tags = discovery_tags(
            self._settings.now.relay.url,
            information,
            relay_type=settings.relay_type,
            topics=settings.topics,
            languages=settings.languages,
            geohash=settings.geohash,
        )
        return Draft(RELAY_DISCOVERY, tags, dumps(information).decode())
