-- Take the lock, or join the queue. Safe to repeat: the owner gets its token again, a waiter keeps its place.
-- ARGV 7: 1 = join the queue; 8: 1 = sent before (it may be in the queue already); 9: heartbeat: ms for which this
-- process counts as alive, 0 = none; 10: ms after which an unused queue is deleted.
-- Returns the token (> 0), or minus the owner's remaining ms (0: unknown, or no heartbeat was sent).
local QUEUE, AGAIN, HEARTBEAT_MS, QUEUE_TTL_MS = ARGV[7] == '1', ARGV[8] == '1', ARGV[9], ARGV[10]
local holder = redis.call('get', KEYS[1])
if holder == OWNER then -- the caller counts its lease from this call, so the lease must begin anew
  redis.call('pexpire', KEYS[1], LEASE_MS)
  if META ~= '' then redis.call('pexpire', KEYS[4], LEASE_MS) end
  local fence = redis.call('get', KEYS[3])
  if not fence then return next_fence(LEASE_MS) end
  if redis.call('pttl', KEYS[3]) < LEASE_MS + TOKEN_TTL_MS then
    redis.call('pexpire', KEYS[3], LEASE_MS + TOKEN_TTL_MS) -- the fence of a lock lives longer than its lease
  end
  return tonumber(fence)
end
if holder and not is_owner(holder) then return redis.error_reply('FOREIGN ' .. KEYS[1]) end
if not holder and redis.call('exists', KEYS[2]) == 0 then return own(OWNER, LEASE_MS, META) end
if QUEUE and HEARTBEAT_MS ~= '0' then redis.call('set', ALIVE .. MINE, '1', 'px', HEARTBEAT_MS) end
if QUEUE then
  local entry = OWNER .. ' ' .. LEASE_MS .. ' ' .. META
  if not (AGAIN and redis.call('lpos', KEYS[2], entry)) then
    local length = redis.call('rpush', KEYS[2], entry)
    if length == 1 then redis.call('pexpire', KEYS[2], QUEUE_TTL_MS) end
  end
  if HEARTBEAT_MS ~= '0' then redis.call('pexpire', KEYS[2], QUEUE_TTL_MS) end
end
if not holder then
  local owner, fence = hand_on()
  if owner == OWNER then return fence end
  if not owner then return own(OWNER, LEASE_MS, META) end
end
if HEARTBEAT_MS == '0' then return 0 end
return -math.max(redis.call('pttl', KEYS[1]), 0)
