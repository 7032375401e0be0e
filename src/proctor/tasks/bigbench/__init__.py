"""Tasks of BIG-bench, read from its `task.json` files as they are. `docs/reference/bigbench-tasks.md` says what is read and how."""
