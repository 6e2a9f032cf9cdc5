"""The agent controller: owns every session's container through an engine.

The *engine* runs containers (Docker, or local processes); the *supervisor* owns each container's
life; a *record* is what is remembered of one; an *observation* is what the engine says of it.
This package knows nothing of users, cookies or the bytes between a client and a container.
"""
