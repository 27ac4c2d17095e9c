"""Where calls run: in this thread, in a pool of threads, or in a pool of processes."""
