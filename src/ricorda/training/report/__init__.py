"""What a run reports: progress on the terminal, the report page."""
