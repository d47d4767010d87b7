"""A Zoho Voice that runs here: agents' days from a seed, the API over real HTTP, and a switchboard of faults.

It shares nothing with `exporter.zoho` but the words of the domain: a client that is wrong must fail against it.
"""
