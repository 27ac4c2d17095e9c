"""The composition root: settings, opening a store, and the names that scripts use."""
