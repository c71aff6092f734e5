-- Shared head of the mutex scripts. KEYS: 1 owner (plain string, with TTL), 2 queue (list), 3 fence, 4 metadata.
-- ARGV: 1 owner id "<process>.<n>", 2 lease in ms, 3 metadata, 4 channel prefix, 5 alive-key prefix; more per script.
-- The fence's TTL begins anew with each grant, so it also shows since when the lock is held, for one more command.
-- A queue entry is "<owner> <lease ms> <metadata>". Nothing here lives without a TTL.
local OWNER, LEASE_MS, META, CHANNEL, ALIVE = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local FENCE_TTL_MS = 604800000
local MINE = string.match(OWNER, '^(.*)%.')

-- The next fencing token. A counter that is new or was forgotten (flush, restart, expiry) starts at the server's
-- microseconds, which is above every token it gave before: one grant takes far more than a microsecond.
local function next_fence()
  local fence = redis.call('incr', KEYS[3])
  if fence == 1 then
    local t = redis.call('time')
    local text = string.format('%.0f', t[1] * 1000000 + t[2])
    redis.call('set', KEYS[3], text, 'px', FENCE_TTL_MS)
    return tonumber(text)
  end
  redis.call('pexpire', KEYS[3], FENCE_TTL_MS)
  return fence
end

local function own(owner, lease_ms, meta)
  local fence = next_fence()
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
