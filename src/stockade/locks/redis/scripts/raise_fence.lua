-- Raise the fence of one server so that the next grant goes above it: to the token that a quorum agreed on, or to what
-- a resource has seen from a server that has lost its counter. Its TTL stays: it shows since when the lock is held.
-- KEYS: 1 fence. ARGV: 1 token. Returns 1.
local now = redis.call('get', KEYS[1])
if not now then
  redis.call('set', KEYS[1], ARGV[1], 'px', 604800000)
elseif tonumber(now) < tonumber(ARGV[1]) then
  redis.call('set', KEYS[1], ARGV[1], 'keepttl')
end
return 1
