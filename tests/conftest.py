"""Fixtures shared by all tests; each family of them is a module of its own."""

pytest_plugins = ["tests.fixtures_store", "tests.no_skips"]
