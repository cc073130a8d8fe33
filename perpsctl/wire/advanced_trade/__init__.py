"""The US venue: Coinbase Advanced Trade REST v3 bodies and socket messages (decimal strings).

Struct modules say what travels and nothing else; `convert_*` and `requests` give it meaning; `payloads` says which file
or message is which struct. Facts: Advanced Trade reference of 2026-11-22, by section.
"""
