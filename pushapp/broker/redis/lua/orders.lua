-- ARGV[5], ARGV[6]  epoch and number of the last order that was heard, '' for none yet
-- ARGV[7]  for how many seconds the caller has been there
-- Returns  epoch, head, number of the last order, orders
local from = ARGV[5] == epoch and tonumber(ARGV[6]) or 0
local last, found = tonumber(redis.call('HGET', meta, 'orders') or 0), {}
for _, entry in ipairs(redis.call('XRANGE', base .. 'control', str(from + 1), '+')) do
  if ARGV[5] ~= '' or tonumber(entry[2][2]) >= now - tonumber(ARGV[7]) then
    found[#found + 1] = entry[2][4]
  end
end
return {epoch, str(head), str(last), found}
