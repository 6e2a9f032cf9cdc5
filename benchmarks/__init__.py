"""What the gateway costs, measured side by side with other proxies and with none, in one run.

Each proxy has one core alone, upstream and load have the others. Rounds alternate between the rows
and medians are taken over the rounds, because machines are noisy.
"""
