-- For people: {owner or '', remaining ms, token, metadata of that owner, ms of the grant by the server's clock, ms held},
-- then the queue. The last two are -1 when they are unknown.
local holder = redis.call('get', KEYS[1]) or ''
local meta = redis.call('get', KEYS[4]) or ''
if string.sub(meta, 1, #holder + 1) ~= holder .. ' ' then meta = '' else meta = string.sub(meta, #holder + 2) end
local fence = redis.call('get', KEYS[3]) or '0'
local fence_left_ms = redis.call('pttl', KEYS[3])
local clock = redis.call('time')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local held_ms, since_ms = -1, -1
if fence_left_ms > 0 then
  held_ms = math.max(FENCE_TTL_MS - fence_left_ms, 0)
  since_ms = now_ms - held_ms
end
return {{holder, redis.call('pttl', KEYS[1]), fence, meta, since_ms, held_ms}, redis.call('lrange', KEYS[2], 0, -1)}
