"""The columnar replica of the duckdb-analytics driver: its files, how it follows the database, and what it answers."""
