"""The web configuration in force: TLS, logins, headers, rate limit; read anew when its files change."""

import ssl
from pathlib import Path

from starlette.types import ASGIApp

from exporter.web.config.model import WebConfig


class WebSecurity:
    """What the web configuration file asks for, as it is in force."""

    def __init__(self, path: Path | None, config: WebConfig) -> None:
        """Use `load` instead."""
        self._path = path
        self._config = config

    @classmethod
    def load(cls, path: Path | None) -> "WebSecurity":
        """Read the file; None asks for nothing. Raises UsageError that names the file and what is wrong in it."""
        assert path is None, "not built yet"
        return cls(path, WebConfig())

    @property
    def config(self) -> WebConfig:
        """What is in force."""
        return self._config

    @property
    def tls(self) -> ssl.SSLContext | None:
        """The context for listeners, which stays the same when the configuration changes; None: plain HTTP."""
        return None

    def protect(self, app: ASGIApp) -> ASGIApp:
        """`app` behind rate limit, headers and login."""
        return app
