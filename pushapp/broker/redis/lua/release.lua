local function release(holder)
  local said = base .. 'h:' .. holder
  for _, key in ipairs(redis.call('SMEMBERS', said)) do
    redis.call('HDEL', base .. 'l:' .. key, holder)
  end
  redis.call('DEL', said)
  redis.call('ZREM', base .. 'holders', holder)
end
