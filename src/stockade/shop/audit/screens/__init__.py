"""The screens: what they read together, and which rules they suspect."""
