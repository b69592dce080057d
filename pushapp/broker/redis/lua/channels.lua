-- ARGV[5]  prefix;  ARGV[6]  after this name;  ARGV[7]  at most so many
-- Returns  epoch, head, and for each: name, last, base, number kept
local from = ARGV[6] >= ARGV[5] and '(' .. ARGV[6] or '[' .. ARGV[5]
if ARGV[6] == '' then from = '[' .. ARGV[5] end
if from == '[' then from = '-' end
-- "~" is the last character that a name may have
local names = redis.call('ZRANGEBYLEX', base .. 'names', from, '(' .. ARGV[5] .. '\127',
  'LIMIT', 0, ARGV[7])
local found = {}
for i, name in ipairs(names) do
  local known = redis.call('HMGET', base .. 'c:' .. name, 'last', 'base')
  found[i] = {name, known[1], known[2], redis.call('XLEN', base .. 's:' .. name)}
end
return {epoch, str(head), found}
