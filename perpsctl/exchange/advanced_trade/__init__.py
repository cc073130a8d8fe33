"""The US venue: Coinbase Advanced Trade REST v3, perpetual-style futures on CDE through CFM.

`venue` is the `Venue` port; `operations` adds the rest an operator needs. A write is sent once; what cannot be known is
said to be unknown.
"""

from perpsctl.exchange.advanced_trade.venue import AdvancedTradeVenue

__all__ = ["AdvancedTradeVenue"]
