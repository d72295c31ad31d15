# Exchanges as lines of an access log in the Combined Log Format: jq -rf combined.jq access.json
# A field that the exchange does not have is a hyphen. Quotes and control characters are escaped as JSON escapes them.

def text: if . == null then "-" else tojson[1:-1] end;

[
  .source.ip,
  "-",
  "-",
  ((.event.start // .["@timestamp"]) | sub("\\.[0-9]+Z$"; "Z") | fromdate | strftime("[%d/%b/%Y:%H:%M:%S +0000]")),
  "\"\(.http.request.method | text) \(.url.original | text) HTTP/\(.http.version | text)\"",
  (.http.response.status_code // "-"),
  (.http.response.body.bytes // "-"),
  "\"\(.http.request.referrer | text)\"",
  "\"\(.user_agent.original | text)\""
] | join(" ")
