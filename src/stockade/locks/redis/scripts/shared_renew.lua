-- Extend one share if it is still held; never takes one anew. Returns 1, or 0 when it is not held any more.
drop_expired()
if not redis.call('zscore', KEYS[1], OWNER) then return 0 end
redis.call('zadd', KEYS[1], NOW_MS + LEASE_MS, OWNER)
keep_until_last()
return 1
