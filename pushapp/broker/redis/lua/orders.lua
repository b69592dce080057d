-- ARGV[5], ARGV[6]  epoch and number of the last order that was heard, '' for none yet
-- Returns  epoch, head, number of the last order; of each since, for how many seconds it has been
--          told, and itself
local from = ARGV[5] == epoch and tonumber(ARGV[6]) or 0
local last, found = tonumber(redis.call('HGET', meta, 'orders') or 0), {}
for _, entry in ipairs(redis.call('XRANGE', base .. 'control', str(from + 1), '+')) do
  found[#found + 1] = exact(now - tonumber(entry[2][2]))
  found[#found + 1] = entry[2][4]
end
return {epoch, str(head), str(last), found}
