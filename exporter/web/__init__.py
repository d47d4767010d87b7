"""The HTTP side: addresses, routes, negotiation, pages."""
