# -*- test-case-name: tests.relay.policies.test_added -*-
"""The policies that an operator has added: programs, and plugins in Python."""

from __future__ import annotations

from typing import Any

import attrs
from twisted.application.service import IService
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.logger import Logger

from nostrtx.interfaces.policies import (
    IConnectionPolicy,
    IEventCheck,
    IEventPolicy,
    IRequestPolicy,
    PolicyContext,
)
from nostrtx.relay.measurements import Measurements
from nostrtx.relay.policies.observed import Observation, Observed
from nostrtx.relay.policies.plugins import make_policy, service_of
from nostrtx.relay.policies.programs.policy import ProgramPolicy
from nostrtx.settings.programs import PluginSettings, ProgramSettings, program_name
from nostrtx.settings.tree import Settings

_Key = tuple[str, ProgramSettings | PluginSettings]


@attrs.frozen(eq=False)
class _Added:
    """
    One of them.

    Attributes:
        policy: Decides.
        observed: Asks it.
        program: The policy, if it is a program.
        service: The policy, if it is to be started as a service.
    """

    policy: Any
    observed: Observed
    program: ProgramPolicy | None = None
    service: IService | None = None


class AddedPolicies:
    """
    Programs and plugins in the order of the settings: first plugins, then programs.

    What costs less comes first; a program is not asked about what a plugin refuses.

    Args:
        settings: Says which there are.
        measurements: Count what they say.
        context: What plugins may use.

    Raises:
        ConfigError: A plugin cannot be used.
    """

    _log = Logger()

    def __init__(
        self, settings: Settings, measurements: Measurements, context: PolicyContext
    ) -> None:
        self._measurements = measurements
        self._context = context
        self._reactor: Any = None
        self._ending: list[Deferred[None]] = []
        self._all: dict[_Key, _Added] = {}
        self._all = self._made(settings)
        self._next = settings, self._all

    @property
    def checks(self) -> tuple[Observed, ...]:
        """Those that check events before the signature."""
        return self._providing(IEventCheck)

    @property
    def events(self) -> tuple[Observed, ...]:
        """Those that decide about events."""
        return self._providing(IEventPolicy)

    @property
    def requests(self) -> tuple[Observed, ...]:
        """Those that look at requests."""
        return self._providing(IRequestPolicy)

    @property
    def connections(self) -> tuple[Observed, ...]:
        """Those that are asked who may connect."""
        return self._providing(IConnectionPolicy)

    def start(self, reactor: Any) -> None:
        """Start the processes of programs, and plugins that are services."""
        self._reactor = reactor
        for added in self._all.values():
            self._start(added)

    def check(self, settings: Settings) -> None:
        """
        Make what other settings ask for, and let things be as they are.

        Raises:
            ConfigError: A plugin cannot be used.
        """
        self._next = settings, self._made(settings)

    def apply(self, settings: Settings) -> None:
        """
        Have the programs and plugins of settings that were checked just now.

        Those that stand there unchanged go on; ask again which there are.
        """
        checked, made = self._next
        assert checked is settings, "they were not checked"
        before, self._all = self._all, made
        if self._reactor is None:
            return
        for key, added in self._all.items():
            if key not in before:
                self._start(added)
        for key, added in before.items():
            if key not in self._all:
                self._end(added)

    def stop(self) -> None:
        """End all of them."""
        added, self._all = self._all, {}
        if self._reactor is not None:
            for one in added.values():
                self._end(one)

    async def ended(self) -> None:
        """Return when all have ended that were to end."""
        await DeferredList(list(self._ending))

    def _made(self, settings: Settings) -> dict[_Key, _Added]:
        made: dict[_Key, _Added] = {}
        for at, plugin in enumerate(settings.plugins):
            key: _Key = (plugin.name, plugin)
            made[key] = self._all.get(key) or self._of_plugin(plugin, at)
        for at, program in enumerate(settings.programs):
            name = program_name(program, at)
            key = (name, program)
            made[key] = self._all.get(key) or self._of_program(program, name)
        return made

    def _of_plugin(self, plugin: PluginSettings, at: int) -> _Added:
        policy = make_policy(plugin, f"plugins[{at}]", self._context)
        observed = self._observed(policy, Observation(plugin.name, not plugin.shadow))
        return _Added(policy, observed, service=service_of(policy))

    def _of_program(self, program: ProgramSettings, name: str) -> _Added:
        policy = ProgramPolicy(name, program, self._context.clock)
        fails_open = program.on_failure == "accept"
        observed = self._observed(
            policy, Observation(name, not program.shadow, fails_open)
        )
        return _Added(policy, observed, program=policy)

    def _observed(self, policy: Any, observation: Observation) -> Observed:
        return Observed(policy, observation, self._measurements, self._context.clock)

    def _start(self, added: _Added) -> None:
        if added.program is not None:
            added.program.start(self._reactor)
        if added.service is not None:
            added.service.privilegedStartService()
            added.service.startService()

    def _end(self, added: _Added) -> None:
        if added.program is not None:
            ending = added.program.stop()
        elif added.service is not None:
            ending = maybeDeferred(added.service.stopService)
        else:
            return
        self._ending.append(ending)

        def ended(result: object) -> None:
            self._ending.remove(ending)

        ending.addErrback(  # type: ignore[unused-awaitable]
            lambda failure: self._log.failure("Stopping a policy failed.", failure)
        )
        ending.addCallback(ended)  # type: ignore[unused-awaitable]

    def _providing(self, interface: Any) -> tuple[Observed, ...]:
        return tuple(
            [
                added.observed
                for added in self._all.values()
                if interface.providedBy(added.policy)
            ]
        )
