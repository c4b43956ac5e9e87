import { roundingMs } from "./rate.ts";
import { createScript } from "./redis-connection.ts";

/**
 * What the scripts share. The time is Redis's own, so that gateways whose clocks differ agree; ARGV[1] stands in for it in
 * tests. `wait` and `paid` are `waitMs` and `paidAfter` of rate.ts.
 */
const prelude = `
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + time[2] / 1000
end
local function wait(key, interval, tolerance)
  local paid = math.max(tonumber(redis.call('GET', key) or 0), now)
  local ms = paid + interval - tolerance - now
  if ms > ${roundingMs} then return ms, paid end
  return 0, paid
end
local function pay(key, paid)
  redis.call('SET', key, string.format('%.3f', paid), 'PX', math.ceil(paid - now) + 60000)
end
`;

/**
 * Takes a share, whole or not at all. KEYS: requests, bytes, leases. ARGV: time, interval and tolerance of the requests,
 * the same of the bytes, the number of bytes, the most leases, the id of this one, and how long it holds; a limit that
 * there is not is empty. Gives nothing, or the limit in the way and the milliseconds to wait.
 *
 * Leases are members of a sorted set by the time at which they end, so that those of a gateway that died fall out.
 */
export const takeScript = createScript(`${prelude}
local requestInterval, byteInterval, most = tonumber(ARGV[2]), tonumber(ARGV[4]), tonumber(ARGV[7])
if most then
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
  if redis.call('ZCARD', KEYS[3]) >= most then return {'open', '0'} end
end
local requestsPaid, bytesPaid
if requestInterval then
  local ms
  ms, requestsPaid = wait(KEYS[1], requestInterval, tonumber(ARGV[3]))
  if ms > 0 then return {'requests', tostring(ms)} end
end
if byteInterval then
  local ms
  ms, bytesPaid = wait(KEYS[2], byteInterval, tonumber(ARGV[5]))
  if ms > 0 then return {'bytes', tostring(ms)} end
end
if requestInterval then pay(KEYS[1], requestsPaid + requestInterval) end
if byteInterval then pay(KEYS[2], bytesPaid + byteInterval * tonumber(ARGV[6])) end
if most then
  redis.call('ZADD', KEYS[3], now + tonumber(ARGV[9]), ARGV[8])
  redis.call('PEXPIRE', KEYS[3], tonumber(ARGV[9]) + 60000)
end
return {}
`);

/** Charges bytes. KEYS: bytes. ARGV: time, interval, tolerance, bytes. Gives the milliseconds to wait, or "0". */
export const spendScript = createScript(`${prelude}
local ms, paid = wait(KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[3]))
if ms == 0 then pay(KEYS[1], paid + tonumber(ARGV[2]) * tonumber(ARGV[4])) end
return tostring(ms)
`);

/** Makes leases hold on. KEYS: leases. ARGV: time, how long they hold, their ids. */
export const renewScript = createScript(`${prelude}
for at = 3, #ARGV do redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[at]) end
redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[2]) + 60000)
return {}
`);

/** Notes a use. KEYS: the signature. ARGV: time, how long to keep it. Gives the time since the first use, or "". */
export const firstUseScript = createScript(`${prelude}
local first = tonumber(redis.call('GET', KEYS[1]) or '')
if first then return tostring(math.max(0, now - first)) end
redis.call('SET', KEYS[1], string.format('%.3f', now), 'PX', tonumber(ARGV[2]))
return ''
`);
