-- ARGV[5]  a scheduled id;  ARGV[6]  who cancels: the same may ask again, its answer was lost
-- Returns  epoch, head, 1 if it was there
local mark = base .. 'x:cancel ' .. ARGV[6]
redis.call('HDEL', base .. 'scheduled', ARGV[5])
local found = redis.call('ZREM', base .. 'due', ARGV[5])
if found == 1 then
  redis.call('SET', mark, '0 ' .. ARGV[5], 'PX', 60000)
elseif redis.call('EXISTS', mark) == 1 then
  found = 1
end
return {epoch, str(head), found}
