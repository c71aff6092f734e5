-- Release a share and hand on; with ARGV 9 = 1 also leave the queue; with ARGV 10 = 1 take it from all holders (break).
-- Returns 1, or 0 when there was nothing to release. Safe to repeat.
drop_expired()
local held = redis.call('zrem', KEYS[1], OWNER)
redis.call('hdel', KEYS[4], OWNER)
if ARGV[10] == '1' then held = redis.call('del', KEYS[1]) redis.call('del', KEYS[4]) end
if held == 0 and ARGV[9] == '1' then
  redis.call('lrem', KEYS[2], 1, table.concat({OWNER, LEASE_MS, WEIGHT, CAPACITY, META}, ' '))
end
hand_on()
return held
