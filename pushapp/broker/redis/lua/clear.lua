-- ARGV[5]  channel.  Returns  epoch, head, how many messages were removed
local stream = base .. 's:' .. ARGV[5]
local count = redis.call('XLEN', stream)
redis.call('DEL', stream, base .. 'r:' .. ARGV[5])
return {epoch, str(head), count}
