"""Tests for :mod:`nostrtx.broadcast`."""
