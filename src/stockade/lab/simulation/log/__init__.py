"""The simulated log of the strategy `kafka`: brokers, a group of workers, and our client library over them."""
