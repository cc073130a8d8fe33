"""The durable record: an append-only, hash-chained store of events on SQLAlchemy Core, and views folded from it.

Nothing here judges an order or speaks to a venue. What a method wrote is on disk when it returns; what could not be
written raises JournalUnavailable, and a handle that failed once writes no more (J2). No exception of the database library
leaves this room.
"""
