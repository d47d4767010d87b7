"""Pages for people: board, timeline and landing page."""
