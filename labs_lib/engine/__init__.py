"""One local Spark Connect server per user, and sessions on it."""
