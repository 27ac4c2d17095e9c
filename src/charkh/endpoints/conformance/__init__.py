"""Does a server keep to the Open Inference Protocol? Probes as data, asked of any address."""
