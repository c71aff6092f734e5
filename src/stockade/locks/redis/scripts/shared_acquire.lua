-- Take a share, or stand in line; safe to repeat. ARGV 8: 1 = stand in line; 9: 1 = sent before; 10: ms for which this
-- process counts as alive (0: shown lately); 11: ms after which a forgotten line disappears.
-- Returns the token (> 0), or minus the ms until the first lease ends (0: not asked for, or unknown).
local QUEUE, AGAIN, BEAT_MS, LINE_MS = ARGV[8] == '1', ARGV[9] == '1', ARGV[10], ARGV[11]
drop_expired()
if redis.call('zscore', KEYS[1], OWNER) then -- the caller counts its lease from this question
  redis.call('zadd', KEYS[1], NOW_MS + LEASE_MS, OWNER)
  keep_until_last()
  return tonumber(string.match(redis.call('hget', KEYS[4], OWNER) or '1', '^%d+'))
end
if redis.call('exists', KEYS[2]) == 0 and fits(WEIGHT, CAPACITY) then
  return own(OWNER, LEASE_MS, WEIGHT, CAPACITY, META)
end
local entry = table.concat({OWNER, LEASE_MS, WEIGHT, CAPACITY, META}, ' ')
if QUEUE then
  if BEAT_MS ~= '0' then redis.call('set', ALIVE .. string.match(OWNER, '^(.*)%.'), '1', 'px', BEAT_MS) end
  if not (AGAIN and redis.call('lpos', KEYS[2], entry)) then redis.call('rpush', KEYS[2], entry) end
  redis.call('pexpire', KEYS[2], LINE_MS)
end
local mine = hand_on()
if mine then return mine end
if not QUEUE and redis.call('exists', KEYS[2]) == 0 and fits(WEIGHT, CAPACITY) then
  return own(OWNER, LEASE_MS, WEIGHT, CAPACITY, META)
end
local first = redis.call('zrange', KEYS[1], 0, 0, 'withscores')
if not first[2] then return 0 end
return -math.max(first[2] - NOW_MS, 1)
