"""What every room needs and that needs no room: clock, ids, ARNs, errors, limits, operations, supervision."""
