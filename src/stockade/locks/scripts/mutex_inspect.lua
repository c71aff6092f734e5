-- For people: {owner or '', remaining ms, token, metadata of that owner}, then the line.
local holder = redis.call('get', KEYS[1]) or ''
local meta = redis.call('get', KEYS[4]) or ''
if string.sub(meta, 1, #holder + 1) ~= holder .. ' ' then meta = '' else meta = string.sub(meta, #holder + 2) end
local fence = redis.call('get', KEYS[3]) or '0'
return {{holder, redis.call('pttl', KEYS[1]), fence, meta}, redis.call('lrange', KEYS[2], 0, -1)}
