"""The dashboards as Python; `python -m grafana.build` writes them as JSON."""
