-- Sixteen requests in one write.
init = function(args)
  local request = wrk.format("GET")
  local many = {}
  for index = 1, 16 do many[index] = request end
  pipelined = table.concat(many)
end
request = function() return pipelined end
