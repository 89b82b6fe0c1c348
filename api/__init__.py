"""The REST API: reads of the catalog and of version files; runs go on in processes of their own."""
