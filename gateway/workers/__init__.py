"""Several processes that serve one address: a parent, which serves nobody, and its workers.

crew: the parent's care for its workers. switchboard: what the parent passes on between them. bus: a
worker's end of that. Lines of JSON go between them; what they mean is known to `gateway.changes`
and `gateway.metrics`.
"""
