"""What people see of a command: sentences, tables, a progress bar and the log."""
