"""The Open Inference Protocol over gRPC: each call is said to the REST server of the same process, as bytes."""
