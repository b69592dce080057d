-- ARGV[5]  the order as JSON;  ARGV[6]  a name for it: told twice under it, it is told once
-- Returns  epoch, head
local MOST = 10000
if redis.call('SET', base .. 'k:' .. ARGV[6], '["0"]', 'NX', 'PX', 60000) then
  local n = redis.call('HINCRBY', meta, 'orders', 1)
  redis.call('XADD', base .. 'control', 'MAXLEN', MOST, str(n) .. '-0', 't', exact(now), 'd', ARGV[5])
  redis.call('PUBLISH', ARGV[4] .. '!control', epoch .. '.0')
end
return {epoch, str(head)}
