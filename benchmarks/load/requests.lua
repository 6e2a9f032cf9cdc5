-- wrk's requests: those of the file that is the first argument, in turn, over all connections.
-- With a second argument, each is made different from all others by a number in its query and in a
-- header; both places are marked NUMBER in the file.
local heads, count, sent = {}, 0, 0
local different

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  for head in file:read("*a"):gmatch("(.-\r\n\r\n)") do
    count = count + 1
    heads[count] = arguments[2] and { head:match("^(.-)NUMBER(.-)NUMBER(.*)$") } or head
  end
  different = arguments[2] ~= nil
end

function request()
  sent = sent + 1
  local head = heads[sent % count + 1]
  if not different then return head end
  return head[1] .. sent .. head[2] .. sent .. head[3]
end

function done(summary, latency)
  local failed = summary.errors
  io.write(string.format(
    '{"requests": %d, "duration_us": %d, "p50": %d, "p99": %d, "failed": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    failed.connect + failed.read + failed.write + failed.status + failed.timeout))
end
