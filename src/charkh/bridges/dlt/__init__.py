"""A resource or source of dlt as a source of charkh: dlt runs it, charkh makes a version of what it wrote."""
