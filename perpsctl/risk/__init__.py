"""Judgement, pure: the operator's limits, what could be exposed, what was lost, and the verdict on one order.

Nothing here reads a clock, a file or a socket, and nothing here is approved by default: what is unknown or stale denies.
"""
