"""The rooms of the ``redis-hybrid`` driver: its clients, scripts, reading, writing and following."""
