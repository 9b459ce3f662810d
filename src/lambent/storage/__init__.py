"""Durable state: databases with group commit, migrations, the blob store, and the lease on a data directory."""
