-- For all scripts but adopt: the log must be one that was adopted, and not behind the caller.
if not epoch or (epoch == ARGV[2] and head < tonumber(ARGV[3])) then
  return redis.error_reply('LOGLOST the log is not what it was')
end
