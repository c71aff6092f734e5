"""The shop's states, constants and limits, and how its commands are written as bytes. No I/O."""
