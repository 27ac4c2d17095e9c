"""HTTP/1.1 on the event loop's own thread: what stands between a client's bytes and the inference server."""
