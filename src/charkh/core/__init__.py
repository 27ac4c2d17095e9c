"""The ground floor: ids, clock, references, events, errors, the gate grammar and configuration; no I/O."""
