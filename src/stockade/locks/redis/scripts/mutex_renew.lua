-- Extend leases still owned; never takes one anew. KEYS: owner, metadata and fence of each; ARGV: 1 ms for which a fence
-- outlives its lock, then owner and lease of each.
-- Returns a list of 1 (extended) or 0 (not the owner's any more).
local kept = {}
for i = 1, #KEYS / 3 do
  local owner, lease_ms = ARGV[2 * i], ARGV[2 * i + 1]
  if redis.call('get', KEYS[3 * i - 2]) == owner then
    redis.call('pexpire', KEYS[3 * i - 2], lease_ms)
    redis.call('pexpire', KEYS[3 * i - 1], lease_ms)
    local fence_ms = lease_ms + ARGV[1]
    if redis.call('pttl', KEYS[3 * i]) < fence_ms then redis.call('pexpire', KEYS[3 * i], fence_ms) end
    kept[i] = 1
  else
    kept[i] = 0
  end
end
return kept
