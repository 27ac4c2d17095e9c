"""Training libraries that record themselves: each by its own callbacks where it has any, switched on by `charkh.autolog`."""
