-- A node's beat: it says that it is alive and what it has, and hears the same of
-- all others. Nodes that were not heard of for a while are forgotten.
--   KEYS  nodes by the time of their last beat; what each says of itself
--   ARGV  the node, what it says (nothing: it ends), ms after which a node is forgotten
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[3])
if ARGV[2] == '' then
  gone[#gone + 1] = ARGV[1]
else
  redis.call('ZADD', KEYS[1], now, ARGV[1])
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
end
for _, node in ipairs(gone) do
  if node ~= ARGV[1] or ARGV[2] == '' then
    redis.call('ZREM', KEYS[1], node)
    redis.call('HDEL', KEYS[2], node)
  end
end
redis.call('EXPIRE', KEYS[1], 3600)
redis.call('EXPIRE', KEYS[2], 3600)
return redis.call('HGETALL', KEYS[2])
