-- redis-py's extend. KEYS: 1 name. ARGV: 1 token, 2 ms, 3: 1 = replace what is left. Returns 1, or 0 when not owned.
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
local left = redis.call('pttl', KEYS[1])
if ARGV[3] == '1' or left < 0 then left = 0 end
redis.call('pexpire', KEYS[1], left + ARGV[2])
return 1
