-- Publishes a durable message to a channel: one EVAL from any language.
--
--   EVAL script 1 {push:news}:log                        push:news payload 1000 86400
--   EVAL script 2 {push:news}:log {push:news}:once:order-17 push:news payload 1000 86400 3600
--
-- KEYS[1]  the channel's stream: "{" prefix channel "}:log"
-- KEYS[2]  optional: "{" prefix channel "}:once:" and a key of the publisher's
--          choice. A second call with it publishes nothing and returns the id
--          of the first, so that a call without an answer can be repeated.
-- ARGV[1]  prefix and channel, as for PUBLISH
-- ARGV[2]  the payload, any bytes
-- ARGV[3]  about how many messages the stream keeps; 0: all
-- ARGV[4]  seconds after which a stream without new messages is removed; 0: never
-- ARGV[5]  seconds for which KEYS[2] is remembered; absent or 0: an hour
-- ARGV[6]  SPUBLISH on a Redis Cluster; absent or empty: PUBLISH
-- ARGV[7]  optional: who publishes it; clients are shown it as "user"
--
-- Returns the id of the message. The braces put all keys of a channel into one
-- slot of Redis Cluster. Needs Redis 6.2 or later, on a Cluster 7.0.

local once = KEYS[2]
if once and once ~= '' then
  local id = redis.call('GET', once)
  if id then
    return id
  end
end

local user = ARGV[7] or ''
local entry = {'*', 'data', ARGV[2]}
if user ~= '' then
  entry = {'*', 'data', ARGV[2], 'user', user}
end

local keep = tonumber(ARGV[3]) or 0
local id
if keep > 0 then
  id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', keep, unpack(entry))
else
  id = redis.call('XADD', KEYS[1], unpack(entry))
end

local ttl = tonumber(ARGV[4]) or 0
if ttl > 0 then
  redis.call('EXPIRE', KEYS[1], ttl)
end

if once and once ~= '' then
  local remember = tonumber(ARGV[5]) or 0
  if remember <= 0 then
    remember = 3600
  end
  redis.call('SET', once, id, 'EX', remember)
end

local command = ARGV[6] or ''
if command == '' then
  command = 'PUBLISH'
end
local head = id
if user ~= '' then
  head = 'U' .. id .. '\30' .. cjson.encode(user)
end
redis.call(command, ARGV[1], '\30' .. head .. '\30' .. ARGV[2])
return id
