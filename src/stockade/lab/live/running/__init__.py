"""What the process of a run does: each control in bursts or under load, and the figures that it shows meanwhile."""
