"""The REST API: a thin edge over the catalog; runs go on in child processes."""
