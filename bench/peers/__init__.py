"""One program for each client that is measured: told how many orders to create, it answers with how long each took."""
