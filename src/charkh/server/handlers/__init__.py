"""The routes of the API, one file a noun; each is a translation of one query or verb."""
