"""How anything here is trained, knowing no model: schedules, averaging, checkpoints, and the one loop."""
