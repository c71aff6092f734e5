-- Raise the fence of one server to the token that the majority agreed on, so that the next grant goes above it.
-- KEYS: 1 fence. ARGV: 1 token. Returns 1.
local now = tonumber(redis.call('get', KEYS[1]) or '0')
if now < tonumber(ARGV[1]) then redis.call('set', KEYS[1], ARGV[1], 'px', 604800000) end
return 1
