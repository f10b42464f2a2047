-- Takes hints, the same number of each org as far as they go. KEYS: ring, turn counter,
-- marker. ARGV: how many, prefix of the lists, orgs to pass over.
-- Answers {orgs left in the ring, {org, {job ids}}, ...}, orgs in turn.
-- Costs a few calls per org served, nothing per hint that stays.
local left = tonumber(ARGV[1])
local skip = {}
for at = 3, #ARGV do skip[ARGV[at]] = true end

local orgs = {}
for _, org in ipairs(redis.call('ZRANGE', KEYS[1], 0, left + #ARGV - 3)) do
    if not skip[org] and #orgs < left then orgs[#orgs + 1] = { org, {} } end
end

-- Rounds: each fills the answer or finds at least one list empty.
local open = orgs
local favoured = #orgs > 0 and left % #orgs or 0
while left > 0 and #open > 0 do
    local share, more = math.floor(left / #open), left % #open
    local still_open = {}
    for place, turn in ipairs(open) do
        local want = share
        if place <= more then want = want + 1 end
        if want == 0 then break end
        local ids = redis.call('LPOP', ARGV[2] .. turn[1], want) or {}
        for _, id in ipairs(ids) do table.insert(turn[2], id) end
        left = left - #ids
        if #ids == want then still_open[#still_open + 1] = turn end
    end
    open = still_open
end

-- Who got one more in the first round comes after those who did not.
if #orgs > 0 then
    local score = redis.call('INCRBY', KEYS[2], #orgs) - #orgs
    for step = 1, #orgs do
        local turn = orgs[(step - 1 + favoured) % #orgs + 1]
        if redis.call('EXISTS', ARGV[2] .. turn[1]) == 1 then
            redis.call('ZADD', KEYS[1], score + step, turn[1])
        else
            redis.call('ZREM', KEYS[1], turn[1])
        end
    end
end

local waiting = redis.call('ZCARD', KEYS[1])
if waiting > 0 and redis.call('EXISTS', KEYS[3]) == 0 then
    redis.call('RPUSH', KEYS[3], '1')
end
table.insert(orgs, 1, waiting)
return orgs
