-- For people: a list of {owner, remaining ms, token, metadata}, then the line.
drop_expired()
local found = {}
local all = redis.call('zrange', KEYS[1], 0, -1, 'withscores')
for i = 1, #all, 2 do
  local fence, _, meta = string.match(redis.call('hget', KEYS[4], all[i]) or '0 1 ', '^(%d+) (%d+) (.*)$')
  found[#found + 1] = {all[i], all[i + 1] - NOW_MS, fence, meta}
end
return {found, redis.call('lrange', KEYS[2], 0, -1)}
