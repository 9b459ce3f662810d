"""For our tests and for users': a virtual clock, a server in a fixture."""
