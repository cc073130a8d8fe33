"""Results -> table, JSON, JSON lines or Markdown. Imports values only; decides nothing and reads nothing."""
