"""HTTP/1.1 on sockets: heads, framing, relaying, tunnels, deadlines.

Nothing in this room knows a cookie, a session, a database or Docker. It asks a `Door` what to do
with each request head and does it.
"""
