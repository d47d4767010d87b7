"""Care of a history database: purge, backup, check, rebuild, compact. Nothing in here records anything."""
