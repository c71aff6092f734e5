"""One file for each claim. Neighbour: `lab.claims.CLAIMS` has them in order."""
