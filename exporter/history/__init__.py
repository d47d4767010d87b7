"""The history: who was in which status when, as far as complete polls can tell, in one SQLite file."""
