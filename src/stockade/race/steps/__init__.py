"""The steps of a round, one file each: set up, release, collect, read, judge. `stockade.race.runner` calls them."""
