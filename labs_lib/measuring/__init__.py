"""What the engine did: Spark's figures and plans, Delta's logs and layout, and plots of them."""
