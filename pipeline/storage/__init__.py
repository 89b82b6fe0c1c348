"""What lasts: version files, the catalog, the run queue and the record of the last nightly run."""
