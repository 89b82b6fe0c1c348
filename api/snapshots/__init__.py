"""The six operations on snapshots: request types, handlers and replies."""
