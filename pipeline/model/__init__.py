"""Values: what a period, a cell, a number and a version are. Loads no engine."""
