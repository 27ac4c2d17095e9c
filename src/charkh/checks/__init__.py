"""What a table must satisfy; rows that do not are set aside with their reasons."""
