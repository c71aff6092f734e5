"""The first 100 users get a coupon, one each."""
