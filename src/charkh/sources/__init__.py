"""Where data is collected from, and what each fetch brought."""
