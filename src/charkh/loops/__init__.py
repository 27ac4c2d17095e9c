"""The wheel itself: a trigger, brakes, a retraining, a gate, and a promotion or a refusal, each written down."""
