"""Steps and pipelines: plain Python functions, cached by content, whose cache explains itself."""
