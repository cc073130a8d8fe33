"""Sockets: one connection at a time, one reader, bounded mailboxes. Nothing here judges, and nothing is ever sent twice."""
