"""The international venue: the Deribit-powered gateway's JSON-RPC over HTTP, USDC perpetuals.

A write is sent once, carries its own end (`valid_until`) and its own label; what cannot be known is said to be unknown.
"""
