"""Strategies: what one is, which are installed, and the built-in ones. None of them sends anything."""

from perpsctl.engine.strategies.protocol import Proposal, Strategy, StrategyState, Wish, Working
from perpsctl.engine.strategies.registry import load, names

__all__ = ["Proposal", "Strategy", "StrategyState", "Wish", "Working", "load", "names"]
