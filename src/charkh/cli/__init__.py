"""The command line: one file a noun, thin; `main.py` finds them and turns errors into exit codes."""
