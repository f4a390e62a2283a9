"""Tests of nostrtx."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# How fast the machine is says nothing about what is tested.
settings.register_profile(
    "nostrtx", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("nostrtx")
