"""Why a file is not imported, other than what stands in it."""

from exporter.errors import ExporterError


class ImportRefused(ExporterError):
    """The file is well, but its facts must not be put into this database; nothing of it was imported."""
