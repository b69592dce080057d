-- ARGV[5]  a scheduled id.  Returns  epoch, head, 1 if it was there
redis.call('HDEL', base .. 'scheduled', ARGV[5])
return {epoch, str(head), redis.call('ZREM', base .. 'due', ARGV[5])}
