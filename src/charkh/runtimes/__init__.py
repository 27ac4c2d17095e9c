"""Model runtimes: one file a framework, each behind `charkh.ports.runtimes.ModelRuntime`."""
