-- Adds hints. KEYS: ring, turn counter, marker. ARGV: most ids per list, prefix of the
-- lists, then for each org: its id, how many job ids follow, the job ids.
-- The ring is a sorted set (org -> when its turn comes), so that an org whose place was
-- evicted gets it back with its next hint.
local most = tonumber(ARGV[1])
local at = 3
while at <= #ARGV do
    local org, count = ARGV[at], tonumber(ARGV[at + 1])
    local list = ARGV[2] .. org
    local room = math.min(count, most - redis.call('LLEN', list))
    if room > 0 then
        redis.call('RPUSH', list, unpack(ARGV, at + 2, at + 1 + room))
    end
    if not redis.call('ZSCORE', KEYS[1], org) then
        redis.call('ZADD', KEYS[1], redis.call('INCR', KEYS[2]), org)
    end
    at = at + 2 + count
end
-- One marker wakes one waiter; its pop leaves another while hints are left.
if redis.call('EXISTS', KEYS[1]) == 1 and redis.call('EXISTS', KEYS[3]) == 0 then
    redis.call('RPUSH', KEYS[3], '1')
end
