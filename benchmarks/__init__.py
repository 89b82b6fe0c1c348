"""What the pipeline and the API cost, measured beside others: `make bench`."""
