-- Give a share back and hand on; with ARGV 8 = 1 also leave the line; with ARGV 9 = 1 take it from everybody (break).
-- Returns 1, or 0 when there was nothing to give back. Safe to repeat.
drop_expired()
local held = redis.call('zrem', KEYS[1], OWNER)
redis.call('hdel', KEYS[4], OWNER)
if ARGV[9] == '1' then held = redis.call('del', KEYS[1]) redis.call('del', KEYS[4]) end
if held == 0 and ARGV[8] == '1' then
  redis.call('lrem', KEYS[2], 1, table.concat({OWNER, LEASE_MS, WEIGHT, CAPACITY, META}, ' '))
end
hand_on()
return held
