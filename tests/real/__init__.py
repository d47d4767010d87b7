"""Tests against the real programs that users run: Prometheus, Chromium."""
