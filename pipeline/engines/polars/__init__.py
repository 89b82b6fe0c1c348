"""The default engine: Polars."""
