-- ARGV[5]  key;  ARGV[6]  seconds;  ARGV[7]  who claims: the same may ask again, its answer was lost,
--          or it holds on
-- Returns  epoch, head, 1 if it is theirs
local key = base .. 'x:' .. ARGV[5]
local known = redis.call('GET', key)
if known then
  local expires, who = string.match(known, '^(%S+) (.*)$')
  if tonumber(expires) > now and who ~= ARGV[7] then return {epoch, str(head), 0} end
end
local ttl = tonumber(ARGV[6])
redis.call('SET', key, exact(now + ttl) .. ' ' .. ARGV[7], 'PX', str(math.max(1, ttl * 1000)))
return {epoch, str(head), 1}
