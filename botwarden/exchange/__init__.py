"""The venues: a port, one adapter over python-binance, and the paper exchange."""
