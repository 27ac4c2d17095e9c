"""Ways to and from outside tools: one file or folder for each, named in the table of bridges."""
