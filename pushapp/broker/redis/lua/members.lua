-- ARGV[5]  channel;  ARGV[6]  after this key;  ARGV[7]  at most so many
-- Returns  epoch, head, members, connections, watchers, waiting, 1 if there are more, key, face, ...
local name, limit = ARGV[5], tonumber(ARGV[7])
local got = redis.call('HMGET', base .. 'p:' .. name, 'members', 'connections', 'watchers')
-- What is left of a lease that is over, or is not known any more, has been said anew by now.
local waiting, numbers = 0, redis.call('HGETALL', base .. 'q:' .. name)
for i = 1, #numbers, 2 do
  local worker = redis.call('HGET', base .. 'w:' .. numbers[i], 'name')
  local ends = tonumber(redis.call('ZSCORE', base .. 'ends', numbers[i]) or 0)
  if worker and ends > now and redis.call('HGET', base .. 'workers', worker) == numbers[i] then
    waiting = waiting + tonumber(numbers[i + 1])
  end
end
local found = {epoch, str(head), got[1] or '0', got[2] or '0', got[3] or '0', str(waiting), 0}
if limit == 0 then return found end
local from = ARGV[6] == '' and '-' or '(' .. ARGV[6]
local keys = redis.call('ZRANGEBYLEX', base .. 'o:' .. name, from, '+', 'LIMIT', 0, limit + 1)
if keys[limit + 1] then
  found[7] = 1
  keys[limit + 1] = nil
end
for _, key in ipairs(keys) do
  found[#found + 1] = key
  found[#found + 1] = string.match(redis.call('HGET', base .. 'm:' .. name, key), '^%d+ (.*)$')
end
return found
