"""The Model Context Protocol: an assistant asks what a person would ask on the command line."""
