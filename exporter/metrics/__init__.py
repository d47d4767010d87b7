"""One table of metric families; counting; rendering to bytes."""
