# -*- test-case-name: tests.relay.policies.test_plugins -*-
"""Policies in Python, which Twisted's plugin system finds."""

from __future__ import annotations

from collections.abc import Iterable
from traceback import extract_tb
from typing import Any

from twisted.application.service import IService
from twisted.plugin import getPlugins

from nostrtx.interfaces.policies import (
    IConnectionPolicy,
    IEventCheck,
    IEventPolicy,
    IPolicyPlugin,
    IRequestPolicy,
    PolicyContext,
)
from nostrtx.settings.file import ConfigError
from nostrtx.settings.programs import PluginSettings

#: What a policy may provide.
POLICIES = (IEventCheck, IEventPolicy, IRequestPolicy, IConnectionPolicy)


def found_plugins() -> dict[str, Any]:
    """All plugins that make policies, by name."""
    found: Iterable[Any] = getPlugins(IPolicyPlugin)
    return {plugin.name: plugin for plugin in found}


def make_policy(settings: PluginSettings, where: str, context: PolicyContext) -> Any:
    """
    The policy that a table of the settings asks for.

    Args:
        settings: The table.
        where: Names the table in an error.
        context: What the policy may use.

    Raises:
        ConfigError: There is no such plugin, or it does not take the options.
    """
    plugins = found_plugins()
    plugin = plugins.get(settings.name)
    if plugin is None:
        known = ", ".join(sorted(plugins)) or "none"
        raise ConfigError(
            f"{where}.name: there is no plugin {settings.name!r}; found: {known}"
        )
    try:
        policy = plugin.make(settings.options, context)
    except ValueError as error:
        raise ConfigError(f"{where}.options: {error}") from None
    except Exception as error:
        # Options that nobody has checked, as a rule; its author wants to know where.
        at = extract_tb(error.__traceback__)[-1]
        raise ConfigError(
            f"{where}.options: the plugin fails with them:"
            f" {type(error).__name__}: {error} ({at.filename}:{at.lineno})"
        ) from error
    if not any(policy_of.providedBy(policy) for policy_of in POLICIES):
        raise ConfigError(f"{where}.name: what the plugin makes is no policy")
    return policy


def service_of(policy: object) -> IService | None:
    """The policy as what is started and stopped, if it is that, too."""
    service: IService | None = IService(policy, None)
    return service
