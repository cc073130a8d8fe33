"""The account of the Global Derivatives gateway over the same core: its perps, orders, USDC account and funding.

Paths, books, matching, taker flow and time are the core's own; what differs is told here. Nothing in this room knows
JSON, HTTP or tokens: that is the faces' business.
"""
