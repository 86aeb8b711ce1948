"""The text of a run, read in windows."""
