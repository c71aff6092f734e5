-- Extend leases still owned; never takes one anew. KEYS: owner and metadata key of each; ARGV: owner and lease of each.
-- Returns a list of 1 (extended) or 0 (not the owner's any more).
local kept = {}
for i = 1, #KEYS / 2 do
  local owner, lease_ms = ARGV[2 * i - 1], ARGV[2 * i]
  if redis.call('get', KEYS[2 * i - 1]) == owner then
    redis.call('pexpire', KEYS[2 * i - 1], lease_ms)
    redis.call('pexpire', KEYS[2 * i], lease_ms)
    kept[i] = 1
  else
    kept[i] = 0
  end
end
return kept
