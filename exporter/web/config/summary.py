"""A web configuration in a few words."""

from exporter.web.config.model import ClientAuth, WebConfig


def asked_for(config: WebConfig) -> str:
    """What the file asks for, such as `TLS, client certificates, 2 users`."""
    parts: list[str] = []
    tls = config.tls
    if tls is not None:
        parts.append("TLS")
        if tls.client_auth is ClientAuth.REQUIRED:
            parts.append("client certificates")
        elif tls.client_auth is ClientAuth.IF_GIVEN:
            parts.append("client certificates from who has one")
    if config.users:
        parts.append(_counted(len(config.users), "user"))
    if config.headers:
        parts.append(_counted(len(config.headers), "header"))
    limit = config.rate_limit
    if limit is not None:
        parts.append(f"at most {limit.burst} requests at once and one every {limit.interval_s:g} s")
    return ", ".join(parts) if parts else "nothing"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
