#!lua flags=no-writes
-- The state of the fleet, for a person. KEYS: head, members, budget, pause, log.
local t = redis.call('TIME')
local ms = t[1] * 1000 + math.floor(t[2] / 1000)
return {ms, redis.call('GET', KEYS[1]) or '', redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES'),
  redis.call('HGETALL', KEYS[3]), redis.call('PTTL', KEYS[4]), redis.call('XREVRANGE', KEYS[5], '+', '-', 'COUNT', 20)}
