"""A scripted model and a ready-made session, so that a newcomer can try the gateway offline."""
