"""From rows to answers: what the drivers that answer `aggregate` have in common."""
