"""Functions' logs: a sink that never makes a writer wait, their store with a quota, and reading and following them."""
