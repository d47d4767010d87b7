"""Zoho Voice's API and nothing else: endpoints to typed results, OAuth, the taxonomy of errors, throttling."""
