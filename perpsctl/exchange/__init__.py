"""The one authenticated client library: keys, signatures, transport, budgets, and one class per venue.

Nothing here decides whether to trade, resends a write, or lets a library's exception out. Secrets live in
`credentials` and never leave it except as a signature.
"""
