"""Tests for :mod:`nostrtx.relay.identification`."""
