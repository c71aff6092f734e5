-- For people: {owner or '', remaining ms, token, metadata of that owner, ms of the grant by the server's clock, ms held},
-- then the queue. A token that is not ahead of the clock is the moment of the grant; otherwise the last two are -1.
local holder = redis.call('get', KEYS[1]) or ''
if holder ~= '' and not is_owner(holder) then return redis.error_reply('FOREIGN ' .. KEYS[1]) end
local meta = redis.call('get', KEYS[4]) or ''
if string.sub(meta, 1, #holder + 1) ~= holder .. ' ' then meta = '' else meta = string.sub(meta, #holder + 2) end
local fence = redis.call('get', KEYS[3]) or '0'
local clock = redis.call('time')
local ahead_us = fence - (clock[1] * 1000000 + clock[2])
local held_ms, since_ms = -1, -1
if fence ~= '0' and ahead_us <= 0 then
  held_ms, since_ms = math.floor(-ahead_us / 1000), math.floor(fence / 1000)
end
return {{holder, redis.call('pttl', KEYS[1]), fence, meta, since_ms, held_ms}, redis.call('lrange', KEYS[2], 0, -1)}
