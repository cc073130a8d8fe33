"""Puts the steps in order: place, resolve, leave, halt, reconcile, run. Never talks to a network, a disk or a clock itself."""
