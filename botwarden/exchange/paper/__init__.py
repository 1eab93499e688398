"""The paper exchange: Binance's spot protocol on a local port, in a process of its own."""
