"""Programs a model wrote, run where they can do no harm: `judge` for tests, `run` for whole programs."""
