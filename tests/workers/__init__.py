"""Tests for :mod:`nostrtx.workers`."""
