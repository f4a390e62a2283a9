"""Tests for :mod:`nostrtx.relay.membership`."""
