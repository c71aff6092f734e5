-- redis-py's acquire, safe to repeat. KEYS: 1 name. ARGV: 1 token, 2 ms (0: no end). Returns 1, or 0 when it is taken.
local holder = redis.call('get', KEYS[1])
if holder then return holder == ARGV[1] and 1 or 0 end
if ARGV[2] == '0' then redis.call('set', KEYS[1], ARGV[1]) else redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2]) end
return 1
