"""The proof that an order happens once: real processes trade while everything around them is broken.

steps.py    where in the order protocol a replica can be struck
replica.py  a replica that is struck there (`python -m chaos.replica`)
world.py    servers, paper exchange and replicas as processes
fleet.py    accounts and bots, and an owner who stops and starts them
torment.py  what is done to them, by a seed
words.py    what a run is asked for, on the command line
verdict.py  what is counted when all has healed
"""
