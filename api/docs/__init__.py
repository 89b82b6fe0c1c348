"""The description of the API: the table of operations, the OpenAPI document and its page."""
