-- Reads which model and version a request is for, and keeps the bodies of sampled requests for the access log.
--
-- The name of the model is in the body of a gRPC request, and Envoy chooses a route by headers. So the filter sets them:
--   x-tiffin-model   name of the model
--   x-tiffin-pinned  number of the version that the request names, or `label`; absent if it names none

-- Set above: LIMIT, bytes of a body that is logged; RECORDS, whether there is a recorder; and THROTTLE, the file with the
-- share of the sampled requests that the recorder has time for.
local GRPC = "/tensorflow.serving."
-- Methods that predict. In the message of each, ModelSpec is field 1, or field 1 of field 1.
local DEPTH = {
  ["PredictionService/Predict"] = 1, ["PredictionService/Classify"] = 1, ["PredictionService/Regress"] = 1,
  ["PredictionService/MultiInference"] = 2,
}

-- Protocol buffers: https://protobuf.dev/programming-guides/encoding/
local function varint(text, at)
  local value, factor = 0, 1
  for _ = 1, 10 do
    local byte = text:byte(at)
    if not byte then return nil end
    at = at + 1
    if byte < 128 then return value + byte * factor, at end
    value, factor = value + (byte - 128) * factor, factor * 128
  end
end

-- Calls `found(number, kind, first, last)` for each field in a part of a message; stops when it returns true.
local function each_field(text, at, stop, found)
  while at <= stop do
    local key, next_at = varint(text, at)
    if not key then return end
    local number, kind = math.floor(key / 8), key % 8
    local first, last = next_at, nil
    if kind == 0 then
      local _, after = varint(text, next_at)
      if not after then return end
      last = after - 1
    elseif kind == 1 then last = next_at + 7
    elseif kind == 5 then last = next_at + 3
    elseif kind == 2 then
      local length, after = varint(text, next_at)
      if not length then return end
      first, last = after, after + length - 1
    else return end
    if found(number, kind, first, last) then return end
    at = last + 1
  end
end

local function first_field(text, at, stop)
  local from, to
  each_field(text, at, stop, function(number, kind, first, last)
    if number == 1 and kind == 2 then from, to = first, last end
    return from ~= nil
  end)
  return from, to
end

-- Returns the name of the model, and the version or `label`.
local function read_spec(text, depth)
  local from, to = 6, #text  -- after gRPC's frame
  for _ = 1, depth do
    from, to = first_field(text, from, to)
    if not from then return nil end
  end
  local name, pinned
  each_field(text, from, math.min(to, #text), function(number, kind, first, last)
    if number == 1 and kind == 2 then name = text:sub(first, last)
    elseif number == 2 and kind == 2 then
      each_field(text, first, last, function(inner, inner_kind, at)
        if inner == 1 and inner_kind == 0 then pinned = string.format("%.0f", (varint(text, at))) end
      end)
      pinned = pinned or "0"
    elseif number == 4 and kind == 2 and last >= first then pinned = "label"
    end
  end)
  return name, pinned
end

local function read_path(path)
  local name, rest = path:match("^/[vV]1/[mM][oO][dD][eE][lL][sS]/([^/:?]+)(.*)$")
  if not name then return nil end
  local version = rest:lower():match("^/versions/(%d+)")
  return name, version or (rest:lower():find("^/labels/") and "label" or nil)
end

-- The recorder's share, read once in a second; the start of that second; and the requests that were left out since the last
-- one that was logged.
local throttle, read_at, throttled = 1, 0, 0

local function read_throttle(handle)
  local now = handle:timestamp()
  if now >= read_at + 1000 or now < read_at then
    read_at = now
    local file = io.open(THROTTLE)
    throttle = file and tonumber(file:read("*l")) or 1
    if file then file:close() end
  end
  return throttle
end

-- Requests with one ID, such as a request and its copy, are logged together or not at all.
local function is_sampled(handle, id)
  local share, time = handle:metadata():get("share") or 1, read_throttle(handle)
  if share * time >= 1 then return true end
  -- The generator of Park and Miller (1988), with the bytes as its seeds; a few more steps spread IDs that are alike.
  local hash = 1
  for index = 1, #id + 4 do hash = ((hash + (id:byte(index) or 0)) * 48271) % 2147483647 end
  hash = hash / 2147483647
  if hash < share and hash >= share * time then throttled = throttled + 1 end
  return hash < share * time
end

-- Keeps the body for the access log, which logs the requests that have one here; it is empty if it is too large.
local function keep(handle, body)
  local length = body:length()
  local text = length <= LIMIT and handle:base64Escape(body:getBytes(0, length)) or ""
  local metadata = handle:streamInfo():dynamicMetadata()
  metadata:set("tiffin", "request", text)
  if throttled > 0 then
    metadata:set("tiffin", "throttled", throttled)
    throttled = 0
  end
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local path = (headers:get(":path") or ""):match("^[^?]*")  -- without the query
  local kind = headers:get("content-type") or ""
  headers:remove("x-tiffin-pinned")
  local name, pinned, predicts
  local method = path:sub(1, #GRPC) == GRPC and path:sub(#GRPC + 1) or nil
  local body
  if method and kind:find("^application/grpc") then
    body = handle:body()
    predicts = DEPTH[method] ~= nil
    if body then
      local depth = DEPTH[method] or 1
      -- The specification of the model is the first field that clients write; a larger start is read only if it is not.
      local length = body:length()
      name, pinned = read_spec(body:getBytes(0, math.min(length, 1024)), depth)
      if not name and length > 1024 then name, pinned = read_spec(body:getBytes(0, length), depth) end
    end
  else
    name, pinned = read_path(path)
    predicts = headers:get(":method") == "POST" and path:find(":[%a]+$") ~= nil
    if predicts then body = handle:body() end
  end
  headers = handle:headers()
  if name and #name <= 256 and not name:find("[%c]") then headers:replace("x-tiffin-model", name)
  elseif method or name then headers:remove("x-tiffin-model") end
  if pinned then headers:add("x-tiffin-pinned", pinned) end
  if RECORDS and predicts and body and is_sampled(handle, headers:get("x-request-id") or "") then
    keep(handle, body)
  end
end

function envoy_on_response(handle)
  local found = handle:streamInfo():dynamicMetadata():get("tiffin")
  if not found or not found["request"] then return end
  -- Without waiting for the whole body, so that the answer is not delayed.
  local parts, size = {}, 0
  for chunk in handle:bodyChunks() do
    size = size + chunk:length()
    if size <= LIMIT then parts[#parts + 1] = chunk:getBytes(0, chunk:length()) end
  end
  if size > 0 and size <= LIMIT then
    handle:streamInfo():dynamicMetadata():set("tiffin", "response", handle:base64Escape(table.concat(parts)))
  end
end
