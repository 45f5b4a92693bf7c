// What Redis runs, each script as one step that nothing tears apart, by Redis's own clock. The same logs as minute-log.ts keeps:
// a hash per limit of a rate (first, last, used, ends, and a pair uN, nN per take), a sorted set of leases per limit of places.
import { EXACT_MAX, MINUTE_MS, SLOT_MS } from './minute-log.ts';
import { PLACE_WAIT_MS } from './tell.ts';

/** Kept after its last take has come back, for answers that are still under way. */
const SPARE_MS = 1000;

const LOG = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function open(key)
  local kept = redis.call('HMGET', key, 'first', 'last', 'used', 'ends')
  if not kept[1] then return { key = key, first = 1, last = 0, used = 0, ends = 0 } end
  local log = { key = key, first = tonumber(kept[1]), last = tonumber(kept[2]), used = tonumber(kept[3]), ends = tonumber(kept[4]) }
  if log.ends <= now then
    redis.call('DEL', key)
    return { key = key, first = 1, last = 0, used = 0, ends = 0 }
  end
  local before = log.first
  while log.first <= log.last do
    local take = redis.call('HMGET', key, 'u' .. log.first, 'n' .. log.first)
    if tonumber(take[1]) > now then break end
    log.used = log.used - tonumber(take[2])
    redis.call('HDEL', key, 'u' .. log.first, 'n' .. log.first)
    log.first = log.first + 1
  end
  if log.first ~= before then redis.call('HSET', key, 'first', log.first, 'used', log.used) end
  return log
end

local function waitFor(log, amount, limit)
  local over = log.used + amount - limit
  if amount == 0 or over <= 0 then return 0 end
  if amount > limit then return math.huge end
  for i = log.first, log.last do
    over = over - tonumber(redis.call('HGET', log.key, 'n' .. i))
    if over <= 0 then return tonumber(redis.call('HGET', log.key, 'u' .. i)) - now end
  end
  return math.huge
end

local function take(log, amount)
  local from = now
  if log.last - log.first + 1 >= ${EXACT_MAX} then from = math.ceil(now / ${SLOT_MS}) * ${SLOT_MS} end
  local ends = math.max(from + ${MINUTE_MS}, log.ends)
  log.used = log.used + amount
  if log.first <= log.last and log.ends == ends then
    redis.call('HINCRBY', log.key, 'n' .. log.last, amount)
  else
    log.last = log.last + 1
    redis.call('HSET', log.key, 'u' .. log.last, ends, 'n' .. log.last, amount)
  end
  log.ends = ends
  redis.call('HSET', log.key, 'first', log.first, 'last', log.last, 'used', log.used, 'ends', ends)
  redis.call('PEXPIRE', log.key, ends - now + ${SPARE_MS})
end
`;

/**
 * Arguments: who takes, the lease in milliseconds, then per key `rate` or `places`, limit, amount.
 * Answers: the key that needs the longest wait (0: all were taken), that wait (-1: for ever), then per key what is used, how long
 * until all of it is back, and where the take stands: its number and its end.
 */
export const ACQUIRE = `${LOG}
local logs, answer, worst, longest = {}, {}, 0, 0
for i, key in ipairs(KEYS) do
  local kind, limit, amount = ARGV[i * 3], tonumber(ARGV[i * 3 + 1]), tonumber(ARGV[i * 3 + 2])
  local wait = 0
  if kind == 'rate' then
    logs[i] = open(key)
    wait = waitFor(logs[i], amount, limit)
  else
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
    answer[i * 4 - 1] = redis.call('ZCARD', key)
    if answer[i * 4 - 1] >= limit then wait = ${PLACE_WAIT_MS} end
  end
  if wait > longest then worst, longest = i, wait end
end
for i, key in ipairs(KEYS) do
  local log, amount = logs[i], tonumber(ARGV[i * 3 + 2])
  if worst == 0 then
    if not log then
      redis.call('ZADD', key, now + ARGV[2], ARGV[1])
      redis.call('PEXPIRE', key, ARGV[2])
    elseif amount > 0 then
      take(log, amount)
    end
  end
  if log then
    answer[i * 4 - 1] = log.used
    answer[i * 4] = math.max(0, log.ends - now)
    answer[i * 4 + 1] = log.last
    answer[i * 4 + 2] = log.ends
  else
    answer[i * 4], answer[i * 4 + 1], answer[i * 4 + 2] = 0, 0, 0
  end
end
answer[1], answer[2] = worst, longest == math.huge and -1 or longest
return answer
`;

/** Arguments: tokens as they were counted, and the true ones; then per key where its take stands. */
export const CORRECT = `${LOG}
local counted, more = tonumber(ARGV[1]), ARGV[2] - ARGV[1]
for i, key in ipairs(KEYS) do
  local number, ends = ARGV[i * 2 + 1], tonumber(ARGV[i * 2 + 2])
  if more > 0 then
    take(open(key), more)
  elseif counted > 0 and tonumber(redis.call('HGET', key, 'u' .. number)) == ends then
    redis.call('HINCRBY', key, 'n' .. number, more)
    redis.call('HINCRBY', key, 'used', more)
  end
end
`;

/** Arguments: the lease in milliseconds, then whose places are taken or kept, in each key. */
export const LEASE = `
local time = redis.call('TIME')
local ends = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
for _, key in ipairs(KEYS) do
  for i = 2, #ARGV do redis.call('ZADD', key, ends, ARGV[i]) end
  redis.call('PEXPIRE', key, ARGV[1])
end
`;

/** Argument: whose places are given back, in each key. */
export const RELEASE = `
for _, key in ipairs(KEYS) do redis.call('ZREM', key, ARGV[1]) end
`;
