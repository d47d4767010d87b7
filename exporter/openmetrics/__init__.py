"""The recorded history as OpenMetrics with timestamps, from which `promtool` makes blocks of Prometheus."""
