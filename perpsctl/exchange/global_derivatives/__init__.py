"""The international venue: the Deribit-powered gateway's JSON-RPC over HTTP, USDC perpetuals.

`venue` is the `Venue` port. A write is sent once, carries its own end (`valid_until`) and its own label; what cannot be
known is said to be unknown.
"""

from perpsctl.exchange.global_derivatives.venue import GLOBAL_CAPABILITIES, GlobalDerivativesVenue

__all__ = ["GLOBAL_CAPABILITIES", "GlobalDerivativesVenue"]
