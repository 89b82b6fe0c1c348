"""Access: who calls, which rights a caller has, how often one may write, and refusals on record."""
