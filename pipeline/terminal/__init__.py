"""Printing of the command line: options, results, diagnostics and exit codes."""
