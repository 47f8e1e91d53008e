"""Pictures whose safety depends on what is written in them: what is found of it, and where it is lost."""
