"""Tests of nostrtx.storage."""
