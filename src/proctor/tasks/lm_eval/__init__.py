"""Tasks of lm-evaluation-harness, read from its YAML files as they are. `docs/reference/lm-eval-tasks.md` says what is read and how."""
