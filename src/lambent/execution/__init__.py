"""Which environment serves an invoke: pools, admission, concurrency, and the environments' life cycle."""
