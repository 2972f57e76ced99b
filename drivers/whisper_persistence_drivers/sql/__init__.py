"""What the two SQL drivers share: tables, migrations and every hook once, in portable SQLAlchemy Core."""
