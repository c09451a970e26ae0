"""Long fault injections: `make torture`. Short versions of them are in the tests."""
