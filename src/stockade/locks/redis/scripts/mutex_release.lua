-- Release the lock and hand it on; with ARGV 7 = 1 also leave the queue; with ARGV 8 = 1 whoever owns it (break).
-- Returns 1, or 0 when it was not the owner's. Safe to repeat.
local holder = redis.call('get', KEYS[1])
if holder and ARGV[8] == '1' and not is_owner(holder) then return redis.error_reply('FOREIGN ' .. KEYS[1]) end
if holder ~= OWNER and not (holder and ARGV[8] == '1') then
  if ARGV[7] == '1' then redis.call('lrem', KEYS[2], 1, OWNER .. ' ' .. LEASE_MS .. ' ' .. META) end
  return 0
end
if META ~= '' or ARGV[8] == '1' then redis.call('del', KEYS[4]) end
if not hand_on() then redis.call('del', KEYS[1]) end
return 1
