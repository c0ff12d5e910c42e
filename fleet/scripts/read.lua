#!lua flags=allow-oom
-- A heartbeat, and the log after a number.
-- KEYS: head, log, members. ARGV: member ('' for none), number, count.
-- Memory that is full must not hide a revocation: hence allow-oom.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if ARGV[1] ~= '' then
  redis.call('ZADD', KEYS[3], string.format('%.0f', now), ARGV[1])
  -- An instance that stopped without a word counts for an hour: its share of the
  -- budget may still be in use, if it was cut off only from here.
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', now - 3600000))
  redis.call('PEXPIRE', KEYS[3], 7200000)
end
local alive = redis.call('ZCOUNT', KEYS[3], string.format('%.0f', now - 10000), '+inf')
local head = redis.call('GET', KEYS[1])
local entries = {}
if head then
  entries = redis.call('XRANGE', KEYS[2], '(' .. ARGV[2] .. '-1', '+', 'COUNT', ARGV[3])
end
return {string.format('%.0f', t[1] * 1000000 + t[2]), alive, head or '', entries}
