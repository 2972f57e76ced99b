"""What breaks things, and what tells whether anything was lost."""
