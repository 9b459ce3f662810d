"""Every scaling decision as a pure function `(state, observation, now) -> (state, decision)`. Needs no other room."""
