# Fastly in front of resized: custom VCL for a service whose backend is the host of resized.
#
# It obeys the Cache-Control of resized, and serves stale copies while it revalidates and, for a day, while resized is
# down. The surrogate key of an object is its path up to the first hyphen, underscore or dot of the name. Purging the
# key photos/cat drops the original photos/cat.jpg and all of its variants, and all other objects with that key. Purge
# resized first, or Fastly may fetch the old variants again.

sub vcl_recv {
#FASTLY recv
  # Fastly would pass on what the client sent. The client is the address of the connection to the first Fastly server.
  unset req.http.Forwarded;
  if (fastly.ff.visits_this_service == 0 && req.restarts == 0) {
    set req.http.X-Forwarded-For = client.ip;
  }
  if (req.method != "HEAD" && req.method != "GET" && req.method != "FASTLYPURGE") {
    return(pass);
  }
  # Drop the query string, except for signed URLs (expires, signature).
  if (req.url.qs !~ "(^|&)signature=") {
    set req.url = req.url.path;
  }
  # Reduce Accept to the formats of formats.negotiate, so that different spellings share one cached copy. Lists with weights of
  # these formats, other parameters or quoted strings, which few clients send, are passed on unchanged: resized parses them exactly.
  std.collect(req.http.Accept);
  if (req.http.Accept ~ {"(?i)"|image/(avif|webp)[ \t]*;"}) {
    # Nothing to change.
  } elsif (req.http.Accept ~ "(?i)(^|,)[ \t]*image/avif[ \t]*(,|$)" && req.http.Accept ~ "(?i)(^|,)[ \t]*image/webp[ \t]*(,|$)") {
    set req.http.Accept = "image/avif,image/webp";
  } elsif (req.http.Accept ~ "(?i)(^|,)[ \t]*image/avif[ \t]*(,|$)") {
    set req.http.Accept = "image/avif";
  } elsif (req.http.Accept ~ "(?i)(^|,)[ \t]*image/webp[ \t]*(,|$)") {
    set req.http.Accept = "image/webp";
  } else {
    unset req.http.Accept;
  }
  unset req.http.Cookie;
  return(lookup);
}

sub vcl_hash {
  set req.hash += req.url;
  set req.hash += req.http.host;
#FASTLY hash
  return(hash);
}

sub vcl_hit {
#FASTLY hit
  if (!obj.cacheable) {
    return(pass);
  }
  return(deliver);
}

sub vcl_miss {
#FASTLY miss
  return(fetch);
}

sub vcl_pass {
#FASTLY pass
  return(pass);
}

sub vcl_fetch {
#FASTLY fetch
  # Serve the stale copy while resized fails.
  if ((beresp.status >= 500 || beresp.status == 429) && stale.exists) {
    return(deliver_stale);
  }
  # Fastly ignores no-store by default; resized sends it with temporary errors.
  if (beresp.http.Cache-Control ~ "(private|no-store)") {
    return(pass);
  }
  set beresp.stale_while_revalidate = 60s;
  set beresp.stale_if_error = 86400s;
  set beresp.http.Surrogate-Key = regsub(req.url.path, "^/((?:[^/]+/)*[^/._-]+).*$", "\1");
  return(deliver);
}

sub vcl_error {
#FASTLY error
  if (obj.status >= 500 && obj.status < 600 && stale.exists) {
    return(deliver_stale);
  }
}

sub vcl_deliver {
#FASTLY deliver
  return(deliver);
}

sub vcl_log {
#FASTLY log
}
