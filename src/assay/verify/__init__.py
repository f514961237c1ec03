"""What is known of a trajectory: calls by evidence, the agent's claim, the resolved outcome."""
