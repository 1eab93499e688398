"""python-binance's own published tests, unmodified, against the paper exchange: the yardstick of its truth.

yardstick.py  fetches the tests with the packages they need
fixtures.py   what their `conftest.py` would offer: clients that talk to the paper exchange
excused.py    tests that cannot pass here, each with its reason
"""
