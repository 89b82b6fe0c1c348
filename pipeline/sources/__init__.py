"""Export files: a list of them, each accepted or refused by its footer, and its rows."""
