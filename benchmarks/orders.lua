-- wrk: each request a new order with an Idempotency-Key of its own, a version-7 UUID, by the next of many users.
-- Arguments after the URL and `--`: file of tokens, one a line; 16 hex digits that make the keys of this run unique; SKU.
-- Prints one line of JSON at the end. Run it with one thread: each thread has its own counter.

local tokens, count, run, body = {}, 0, {}, ""

function init(arguments)
  for line in io.lines(arguments[1]) do
    tokens[#tokens + 1] = line
  end
  local word = arguments[2]
  run = { word:sub(1, 3), word:sub(4, 6), word:sub(7, 11) }
  body = '{"lines":[{"sku_id":"' .. arguments[3] .. '","quantity":1}],"pay":"POINTS"}'
end

function request()
  count = count + 1
  local now_ms = string.format("%012x", os.time() * 1000 + count % 1000)
  local key = string.format("%s-%s-7%s-8%s-%s%07x", now_ms:sub(1, 8), now_ms:sub(9), run[1], run[2], run[3], count)
  return "POST " .. wrk.path .. " HTTP/1.1\r\nHost: " .. wrk.headers["Host"]
    .. "\r\nAuthorization: Bearer " .. tokens[count % #tokens + 1]
    .. "\r\nIdempotency-Key: " .. key
    .. "\r\nContent-Type: application/json\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"answered":%d,"seconds":%f,"p50_ms":%f,"p99_ms":%f,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout
  ))
end
