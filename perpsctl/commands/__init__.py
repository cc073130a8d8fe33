"""The command line: one Typer file per subcommand. Parse, call one thing, `finish`; no business decision lives here."""
