-- The type of each key: a list of texts.
local found = {}
for i, key in ipairs(KEYS) do found[i] = redis.call('type', key).ok end
return found
