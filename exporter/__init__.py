"""Prometheus exporter and history recorder for Zoho Voice agents' online status."""

__version__ = "0.1.0"
