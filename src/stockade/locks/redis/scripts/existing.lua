-- Which of the keys exist: a list of 1 or 0.
local found = {}
for i, key in ipairs(KEYS) do found[i] = redis.call('exists', key) end
return found
