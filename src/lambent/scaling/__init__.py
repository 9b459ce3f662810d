"""Every scaling decision as a pure function `(state, observation, now) -> (state, decision)`. Imports nothing of ours."""
