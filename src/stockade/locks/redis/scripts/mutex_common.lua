-- Shared head of the mutex scripts. KEYS: 1 owner (plain string, with TTL), 2 queue (list), 3 fence, 4 metadata.
-- ARGV: 1 owner id "<process>.<n>", 2 lease in ms, 3 metadata, 4 channel prefix, 5 alive-key prefix, 6 ms for which the
-- fence outlives the lock; more per script.
-- A queue entry is "<owner> <lease ms> <metadata>". Nothing here lives without a TTL.
local OWNER, LEASE_MS, META, CHANNEL, ALIVE, TOKEN_TTL_MS = unpack(ARGV, 1, 6)
local MINE = string.match(OWNER, '^(.*)%.')

-- Whether a text at KEYS[1] can be an owner: "<16 hex digits>.<word>", or the 32 hex digits of redis-py's locks.
local function is_owner(text)
  return string.find(text, '^%x+%.[^%s.]+$') == 1 and string.sub(text, 17, 17) == '.'
    or #text == 32 and string.find(text, '^%x+$') == 1
end

local function own(owner, lease_ms, meta)
  local fence = next_fence(lease_ms)
  redis.call('set', KEYS[1], owner, 'px', lease_ms)
  if meta ~= '' then redis.call('set', KEYS[4], owner .. ' ' .. meta, 'px', lease_ms) end
  return fence
end

-- Makes the first live waiter the owner and wakes it alone. Live: its process has sent a heartbeat lately (or is the
-- caller's) and has subscribed. Returns the new owner and its token, or nothing when there is no waiter.
local function hand_on()
  local entry = redis.call('lpop', KEYS[2])
  while entry do
    local owner, lease_ms, meta = string.match(entry, '^(%S+) (%d+) (.*)$')
    if owner == OWNER then return owner, own(owner, lease_ms, meta) end
    local process = string.match(owner, '^(.*)%.')
    if process == MINE or redis.call('exists', ALIVE .. process) == 1 then
      local fence = own(owner, lease_ms, meta)
      -- a user without the right to publish: the waiter learns it at its next query
      local heard = redis.pcall('publish', CHANNEL .. process, owner .. ' ' .. string.format('%.0f', fence))
      if type(heard) == 'table' or heard > 0 then return owner, fence end
      redis.call('del', KEYS[1], KEYS[4])
    end
    entry = redis.call('lpop', KEYS[2])
  end
end
