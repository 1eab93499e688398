"""Strategies: what to do when a candle closes. One file each; `registry` knows them all."""
