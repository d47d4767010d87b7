"""What scrapes cost: ours against prometheus-client's own server, against nginx, and as a real Prometheus sees it."""
