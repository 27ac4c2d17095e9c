"""The media behind the ports: journals, blobs and the SQL catalog; only the workspace builds them."""
