-- What every script begins with.
-- KEYS[1]  PREFIX:meta; all keys share its hash slot, so the others are made from it here
-- ARGV[1]  now in Unix seconds, "" for the server's own clock
-- ARGV[2], ARGV[3]  the highest head that the caller knows of: epoch, number
-- ARGV[4]  what the names of the wake-up channels begin with
-- ARGV[5]... the script's own
--
-- PREFIX:meta      hash: epoch, head, floor, server and format (see adopt), place, orders, brought
-- PREFIX:ended     set: epochs before this one
-- PREFIX:gaps      zset: "lo hi" by lo: ids in between may have been given out and lost
-- PREFIX:names     zset by 0: all channels of clients;  PREFIX:inner  zset by 0: internal ones
-- PREFIX:look      zset: when to sweep them
-- PREFIX:c:NAME    hash: last, base (the floor at its birth), time, ttl (what is kept, seconds)
-- PREFIX:s:NAME    stream, id N-0: p prev, e event, t time, x expires, d data
-- PREFIX:r:NAME    hash: the retained value: n and a message's fields
-- PREFIX:k:KEY     string: an append's key, with its receipts
-- PREFIX:due       zset: scheduled ids by time;  PREFIX:scheduled  hash: what they are
-- PREFIX:holders   zset: lease holders by expiry;  PREFIX:h:HOLDER  set: its keys
-- PREFIX:l:KEY     hash: holder -> expiry and value;  PREFIX:x:KEY  string: a claim
-- PREFIX:control   stream: orders
-- The roster (tally.lua):
-- PREFIX:workers   hash: name -> its lease;  PREFIX:ends  zset: leases by their end
-- PREFIX:w:LEASE   hash: name, record;  PREFIX:held:LEASE  set: its connections
-- PREFIX:e:ID      hash: a connection: lease -> number and entry, the greatest was brought last
-- PREFIX:ids       zset by 0: all connections;  PREFIX:u:USER  zset by 0: a user's
-- PREFIX:p:NAME    hash: a channel's figures: members, connections, watchers
-- PREFIX:m:NAME    hash: its members: key -> number of connections and face
-- PREFIX:o:NAME    zset by 0: their keys
-- PREFIX:q:NAME    hash: lease -> how many wait there;  PREFIX:waits:LEASE  set: its channels
--
-- Numbers are doubles: exact up to 2^53. They travel as strings, because replies cut fractions off.
local meta = KEYS[1]
local base = string.sub(meta, 1, -5)

local function str(n) return string.format('%.0f', n) end
local function exact(n) return string.format('%.17g', n) end
-- Where a channel's name stands: no client can name one with a "/".
local function names_of(name) return string.find(name, '/', 1, true) and 'inner' or 'names' end

local now
if ARGV[1] ~= '' then
  now = tonumber(ARGV[1])
else
  local t = redis.call('TIME')
  now = tonumber(t[1]) + tonumber(t[2]) / 1000000
end

local got = redis.call('HMGET', meta, 'epoch', 'head', 'floor')
local epoch, head, floor = got[1], tonumber(got[2] or 0), tonumber(got[3] or 0)
