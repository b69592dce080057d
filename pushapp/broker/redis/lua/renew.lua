-- ARGV[5]  holder;  ARGV[6]  seconds;  ARGV[7...]  key, value, ...
-- Returns  epoch, head
local holder, expires = ARGV[5], exact(now + tonumber(ARGV[6]))
release(holder)
for i = 7, #ARGV, 2 do
  redis.call('HSET', base .. 'l:' .. ARGV[i], holder, expires .. ' ' .. ARGV[i + 1])
  redis.call('SADD', base .. 'h:' .. holder, ARGV[i])
end
if ARGV[7] then redis.call('ZADD', base .. 'holders', expires, holder) end
return {epoch, str(head)}
