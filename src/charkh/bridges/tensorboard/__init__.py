"""TensorBoard, both ways: event files into runs, runs into event files, and the writer that records a run."""
