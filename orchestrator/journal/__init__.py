"""A run's journal: an append-only, hash-chained SQLite file, read, written, vouched for, and saved where it is torn."""
