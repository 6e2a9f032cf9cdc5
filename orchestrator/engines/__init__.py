"""The containers' engines, each an adapter behind the protocol in `base`."""
