"""Saving a run and restoring it: checkpoints, the run folder, its lock and its record."""
