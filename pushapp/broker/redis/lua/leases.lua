-- ARGV[5]  key.  Returns  epoch, head, holder, value, ...
local all, found = redis.call('HGETALL', base .. 'l:' .. ARGV[5]), {epoch, str(head)}
for i = 1, #all, 2 do
  local expires, value = string.match(all[i + 1], '^(%S+) (.*)$')
  if tonumber(expires) > now then
    found[#found + 1] = all[i]
    found[#found + 1] = value
  end
end
return found
