"""What AWS would do with a burst: the scaling functions of `scaling` on virtual time."""
