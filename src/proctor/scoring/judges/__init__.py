"""Answers scored by other models: each rubric is a scorer, asks its questions as steps, and reads what the judges reply."""
