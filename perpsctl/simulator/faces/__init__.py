"""The exchange's faces: plain functions from a request to a reply and its wire-level faults.

A face knows paths, headers and bodies and asks the core for everything else. It opens no socket, sleeps never and keeps
no order: shells (the server, the in-process adapter) carry out what a reply says about delays and broken connections.
"""
