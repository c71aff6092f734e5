-- Raise the fence of one server so that the next grant goes above it: to the token that a quorum agreed on, or to what
-- a resource has seen from a server that has lost its fence. It lives until the clock is past it, and longer.
-- KEYS: 1 fence. ARGV: 1 token, 2 ms for which a fence outlives its lock. Returns 1.
local last = redis.call('get', KEYS[1])
if not last or tonumber(last) < tonumber(ARGV[1]) then
  local clock = redis.call('time')
  local ahead_ms = math.ceil(math.max(ARGV[1] / 1000 - clock[1] * 1000 - clock[2] / 1000, 0))
  local ttl_ms = math.max(redis.call('pttl', KEYS[1]), ARGV[2] + ahead_ms)
  redis.call('set', KEYS[1], ARGV[1], 'px', ttl_ms)
end
return 1
