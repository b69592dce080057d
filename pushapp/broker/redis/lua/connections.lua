-- ARGV[5]  of this user, '' for everybody;  ARGV[6]  after this id, or only this one where ARGV[7] is ''
-- ARGV[7]  at most so many
-- Returns  epoch, head, for each: worker, number and entry, ...
local function say(id)
  local all = redis.call('HGETALL', base .. 'e:' .. id)
  for i = 1, #all, 2 do all[i] = redis.call('HGET', base .. 'w:' .. all[i], 'name') or '' end
  return all
end
if ARGV[7] == '' then return {epoch, str(head), say(ARGV[6])} end
local from = ARGV[6] == '' and '-' or '(' .. ARGV[6]
local key = base .. (ARGV[5] == '' and 'ids' or 'u:' .. ARGV[5])
local found = {epoch, str(head)}
for _, id in ipairs(redis.call('ZRANGEBYLEX', key, from, '+', 'LIMIT', 0, ARGV[7])) do
  found[#found + 1] = say(id)
end
return found
