"""Variants of a task: the same items put otherwise, so that one can see how far a score depends on what should not matter."""
