"""What drives a run: planning, asking, the journal, resuming, finishing."""
