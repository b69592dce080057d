-- ARGV[5]  key;  ARGV[6]  seconds;  ARGV[7]  who claims: the same may ask again, its answer was lost
-- Returns  epoch, head, 1 if it is theirs
local key = base .. 'x:' .. ARGV[5]
local known = redis.call('GET', key)
if known then
  local expires, who = string.match(known, '^(%S+) (.*)$')
  if tonumber(expires) > now then return {epoch, str(head), who == ARGV[7] and 1 or 0} end
end
local ttl = tonumber(ARGV[6])
redis.call('SET', key, exact(now + ttl) .. ' ' .. ARGV[7], 'PX', str(ttl * 1000))
return {epoch, str(head), 1}
