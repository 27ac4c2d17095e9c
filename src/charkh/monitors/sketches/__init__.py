"""What is kept of a table to compare it: counts over fixed edges and by category, in constant memory, that add up."""
