-- Shared head of the read/write and semaphore scripts. KEYS: 1 holders (sorted set, score = end of lease in ms by the
-- server's clock), 2 queue (list), 3 fence, 4 token, weight, ms of the grant and
-- metadata per holder (hash).
-- ARGV: 1 owner id, 2 lease in ms, 3 metadata, 4 channel prefix, 5 alive-key prefix, 6 ms for which the fence outlives
-- the lock, 7 weight, 8 capacity; more per script.
-- A queue entry is "<owner> <lease ms> <weight> <capacity> <metadata>". A holder's weight is 1 or the whole capacity.
local OWNER, LEASE_MS, META, CHANNEL, ALIVE, TOKEN_TTL_MS, WEIGHT, CAPACITY = unpack(ARGV, 1, 8)
local clock = redis.call('time')
local NOW_MS = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- Holders and their data live exactly as long as the longest lease, the fence longer.
local function keep_until_last()
  local last = redis.call('zrange', KEYS[1], -1, -1, 'withscores')
  if last[2] then
    local left_ms = math.max(last[2] - NOW_MS, 1)
    redis.call('pexpire', KEYS[1], left_ms)
    redis.call('pexpire', KEYS[4], left_ms)
    if redis.call('pttl', KEYS[3]) < left_ms + TOKEN_TTL_MS then
      redis.call('pexpire', KEYS[3], left_ms + TOKEN_TTL_MS)
    end
  else
    redis.call('del', KEYS[4])
  end
end

local function drop_expired()
  local ended = redis.call('zrangebyscore', KEYS[1], '-inf', NOW_MS)
  for _, owner in ipairs(ended) do
    redis.call('zrem', KEYS[1], owner)
    redis.call('hdel', KEYS[4], owner)
  end
end

local function own(owner, lease_ms, weight, capacity, meta)
  local fence = next_fence(lease_ms)
  redis.call('zadd', KEYS[1], NOW_MS + lease_ms, owner)
  redis.call('hset', KEYS[4], owner, string.format('%.0f', fence) .. ' ' .. weight .. ' ' .. string.format('%.0f', NOW_MS) .. ' ' .. meta)
  keep_until_last()
  return fence
end

local function weight_of(owner)
  return string.match(redis.call('hget', KEYS[4], owner) or '', '^%d+ (%d+) ') or '1'
end

local function fits(weight, capacity)
  local holders = redis.call('zcard', KEYS[1])
  if holders == 0 then return true end
  if weight == capacity or holders >= tonumber(capacity) then return false end
  return weight_of(redis.call('zrange', KEYS[1], 0, 0)[1]) == '1'
end

-- Grants to the head of the queue as long as it fits, and wakes each; skips waiters of dead processes. Returns the
-- caller's token if it was among them.
local function hand_on()
  local mine = nil
  local entry = redis.call('lindex', KEYS[2], 0)
  while entry do
    local owner, lease_ms, weight, capacity, meta = string.match(entry, '^(%S+) (%d+) (%d+) (%d+) (.*)$')
    local process = string.match(owner, '^(.*)%.')
    local alive = owner == OWNER or redis.call('exists', ALIVE .. process) == 1
    if alive and not fits(weight, capacity) then break end
    redis.call('lpop', KEYS[2])
    if alive then
      local fence = own(owner, lease_ms, weight, capacity, meta)
      if owner == OWNER then
        mine = fence
      else -- a user without the right to publish gets an error: the waiter learns it at its next query
        local heard = redis.pcall('publish', CHANNEL .. process, owner .. ' ' .. string.format('%.0f', fence))
        if heard == 0 then
          redis.call('zrem', KEYS[1], owner)
          redis.call('hdel', KEYS[4], owner)
        end
      end
    end
    entry = redis.call('lindex', KEYS[2], 0)
  end
  keep_until_last()
  return mine
end
