"""Training libraries that record themselves, by callbacks where they have any: `charkh.autolog` switches them on."""
