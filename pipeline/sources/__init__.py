"""Files in: which exports there are, and which are accepted or refused."""
