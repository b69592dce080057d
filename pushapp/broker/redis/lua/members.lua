-- ARGV[5]  channel;  ARGV[6]  after this key;  ARGV[7]  at most so many
-- Returns  epoch, head, members, connections, watchers, 1 if there are more, key, face, ...
local name, limit = ARGV[5], tonumber(ARGV[7])
local got = redis.call('HMGET', base .. 'p:' .. name, 'members', 'connections', 'watchers')
local found = {epoch, str(head), got[1] or '0', got[2] or '0', got[3] or '0', 0}
if limit == 0 then return found end
local from = ARGV[6] == '' and '-' or '(' .. ARGV[6]
local keys = redis.call('ZRANGEBYLEX', base .. 'o:' .. name, from, '+', 'LIMIT', 0, limit + 1)
if keys[limit + 1] then
  found[6] = 1
  keys[limit + 1] = nil
end
for _, key in ipairs(keys) do
  found[#found + 1] = key
  found[#found + 1] = string.match(redis.call('HGET', base .. 'm:' .. name, key), '^%d+ (.*)$')
end
return found
