"""HTTP for every operation: parsing of requests, problems, caching of replies, batching of I/O."""
