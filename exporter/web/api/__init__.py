"""JSON under /api/v1/: what is known now, reports on the history, and a stream that tells when there is news."""
