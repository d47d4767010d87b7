"""The timeline page: agents' time as coloured bars, the sums beside it, and ways to other times."""

from exporter.web.pages.timeline.page import timeline_page

__all__ = ["timeline_page"]
