"""Training libraries that record themselves: each by its own callbacks, switched on by `charkh.autolog`."""
