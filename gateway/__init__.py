"""The public face: who is asking, where their session lives, and the bytes between.

The words of the design, used everywhere with these meanings: a *user* has an account; an *agent*
is a user's provider, model and token; a *session* is one user's workspace, bound to one agent; its
*container* is the `opencode serve` it runs in; a *conversation* is OpenCode's own session object;
an *upstream* is where bytes can go; a *route* is a decision for one, with its reason; to *relay*
is to move one exchange; the *shared service* is the one OpenCode that everybody may use.
"""
