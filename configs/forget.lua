-- Forgets the history of a channel, on every node: one EVAL from any language.
--
--   EVAL script 1 {push:news}:log push:news
--
-- KEYS[1]  the channel's stream: "{" prefix channel "}:log"
-- ARGV[1]  prefix and channel, as for PUBLISH
-- ARGV[2]  SPUBLISH on a Redis Cluster; absent or empty: PUBLISH
--
-- Returns how many messages the stream had. An entry that is no message takes
-- their place: ids go on above those that are forgotten, and a client that comes
-- back from before is told of a gap. The nodes drop what they keep in memory when
-- they hear of it, in order with the channel's messages.

local had, id = 0, ''
if redis.call('EXISTS', KEYS[1]) == 1 then
  had = redis.call('XLEN', KEYS[1])
  local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)
  if first[1] and first[1][2][1] == 'forgotten' then
    had = had - 1
  end
  id = redis.call('XADD', KEYS[1], 'MAXLEN', 1, '*', 'forgotten', had)
end

local command = ARGV[2] or ''
if command == '' then
  command = 'PUBLISH'
end
redis.call(command, ARGV[1], '\30F' .. id .. '\30')
return had
