-- Take a share, or join the queue; safe to repeat. ARGV 9: 1 = join the queue; 10: 1 = sent before; 11: heartbeat: ms
-- for which this process counts as alive, 0 = none; 12: ms after which an unused queue is deleted.
-- Returns the token (> 0), or minus the ms until the first lease ends (0: unknown, or no heartbeat was sent).
local QUEUE, AGAIN, HEARTBEAT_MS, QUEUE_TTL_MS = ARGV[9] == '1', ARGV[10] == '1', ARGV[11], ARGV[12]
drop_expired()
if redis.call('zscore', KEYS[1], OWNER) then -- the caller counts its lease from this call
  redis.call('zadd', KEYS[1], NOW_MS + LEASE_MS, OWNER)
  keep_until_last()
  return tonumber(string.match(redis.call('hget', KEYS[4], OWNER) or '1', '^%d+'))
end
if redis.call('exists', KEYS[2]) == 0 and fits(WEIGHT, CAPACITY) then
  return own(OWNER, LEASE_MS, WEIGHT, CAPACITY, META)
end
local entry = table.concat({OWNER, LEASE_MS, WEIGHT, CAPACITY, META}, ' ')
if QUEUE then
  if HEARTBEAT_MS ~= '0' then redis.call('set', ALIVE .. string.match(OWNER, '^(.*)%.'), '1', 'px', HEARTBEAT_MS) end
  if not (AGAIN and redis.call('lpos', KEYS[2], entry)) then redis.call('rpush', KEYS[2], entry) end
  redis.call('pexpire', KEYS[2], QUEUE_TTL_MS)
end
local mine = hand_on()
if mine then return mine end
if not QUEUE and redis.call('exists', KEYS[2]) == 0 and fits(WEIGHT, CAPACITY) then
  return own(OWNER, LEASE_MS, WEIGHT, CAPACITY, META)
end
local first = redis.call('zrange', KEYS[1], 0, 0, 'withscores')
if not first[2] then return 0 end
return -math.max(first[2] - NOW_MS, 1)
