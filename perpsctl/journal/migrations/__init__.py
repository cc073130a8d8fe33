"""The steps from one schema number to the next; `steps` lists and runs them. Nothing here judges rows."""
