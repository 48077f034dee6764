"""Contract tests that an extension can subclass."""
