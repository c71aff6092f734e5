-- For people: a list of {owner, remaining ms, token, metadata, ms of the grant by the server's clock, ms held}, then the
-- queue.
drop_expired()
local found = {}
local all = redis.call('zrange', KEYS[1], 0, -1, 'withscores')
for i = 1, #all, 2 do
  local kept = redis.call('hget', KEYS[4], all[i]) or '0 1 -1 '
  local fence, _, since_ms, meta = string.match(kept, '^(%d+) (%d+) (-?%d+) (.*)$')
  local held_ms = tonumber(since_ms) < 0 and -1 or NOW_MS - since_ms
  found[#found + 1] = {all[i], all[i + 1] - NOW_MS, fence, meta, tonumber(since_ms), held_ms}
end
return {found, redis.call('lrange', KEYS[2], 0, -1)}
