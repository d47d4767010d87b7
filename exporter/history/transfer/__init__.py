"""History that comes from elsewhere or goes there: the export of every fact, and the import of files."""
