"""Policies as a relay asks them, for tests of what becomes of their verdicts."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from nostrtx.relay.measurements import Measurements
from nostrtx.relay.policies.observed import Observation, Observed


def observed(*policies: Any) -> list[Observed]:
    """Policies that are enforced."""
    return [
        Observed(policy, Observation("policy"), Measurements(), Clock())
        for policy in policies
    ]
