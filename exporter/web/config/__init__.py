"""The web configuration file, in the format of Prometheus' exporter-toolkit."""
