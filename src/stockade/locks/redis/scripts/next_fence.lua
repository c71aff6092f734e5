-- Before both shared heads. KEYS: 3 fence. ARGV: 6 ms for which the fence outlives the lock.

-- The next fencing token: the server's microseconds, or one more than the last token where that is ahead of them. So a
-- fence that was forgotten (expiry, flush, restart) goes on above every token it gave before. It is kept for the lease,
-- for as long as it is ahead of the clock, and ARGV[6] ms more, in which the clock may be set back.
local function next_fence(lease_ms)
  local clock = redis.call('time')
  local now_us, ttl_ms = clock[1] * 1000000 + clock[2], lease_ms + ARGV[6]
  local last = tonumber(redis.call('set', KEYS[3], now_us, 'px', ttl_ms, 'get') or 0)
  if last < now_us then return now_us end
  redis.call('set', KEYS[3], last + 1, 'px', ttl_ms + math.ceil((last + 1 - now_us) / 1000))
  return last + 1
end
