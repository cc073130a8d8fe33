"""The international venue: the Deribit-powered gateway's JSON-RPC bodies, channels and errors (JSON numbers).

Struct modules say what travels and nothing else; `convert_*` and `requests` give it meaning; `errors` says what a code
means; `payloads` says which file is which struct. Nothing here opens a socket, reads a clock or keeps state, and no
binary float exists here. Facts: Global Derivatives reference of 2026-11-22, by section.
"""
