"""The embedded exchange: a deterministic, seeded core that the faces turn into the venue's wire protocols.

It is the independent judge of the client: it imports no line of the client (only `perpsctl.domain.numbers`), so a
mistake of one side cannot hide in the other. Nothing here may reach beyond the process or read a clock of its own but
through the `Clock` in `clock.py`.
"""
