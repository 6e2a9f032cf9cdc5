"""What the gateway costs, measured side by side with going without it, in one run.

Rows alternate round by round and medians are taken over the rounds, because machines are noisy.
"""
