-- redis-py's release. KEYS: 1 name. ARGV: 1 token. Returns 1, or 0 when it was not the owner's.
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('del', KEYS[1])
return 1
