"""What a table's columns hold, in sketches that merge: a version's profile is its parts' profiles, added up."""
