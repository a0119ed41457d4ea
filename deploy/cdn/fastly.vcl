# Fastly in front of resized: a service's own VCL, the backend being the service's host.
#
# It keeps what resized says may be kept, and answers with what it has while it asks again and, for a day, while resized is away. A
# purge by the surrogate key of a name without its extension and size, as photos/cat, drops the original photos/cat.jpg and all of its
# variants, and what else has a name that begins so up to its first hyphen, underscore or dot. Purge resized first.

sub vcl_recv {
#FASTLY recv
  if (req.method != "HEAD" && req.method != "GET" && req.method != "FASTLYPURGE") {
    return(pass);
  }
  # The query is no part of a picture's name, but for signed URLs (expires, signature).
  if (req.url.qs !~ "(^|&)signature=") {
    set req.url = req.url.path;
  }
  # Of Accept no more than formats.negotiate chooses from, so that not every browser's way to write it is a copy of its own.
  if (req.http.Accept ~ "image/avif" && req.http.Accept ~ "image/webp") {
    set req.http.Accept = "image/avif,image/webp";
  } elsif (req.http.Accept ~ "image/avif") {
    set req.http.Accept = "image/avif";
  } elsif (req.http.Accept ~ "image/webp") {
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
  # What cannot be made anew now is answered as it was.
  if ((beresp.status >= 500 || beresp.status == 429) && stale.exists) {
    return(deliver_stale);
  }
  # Fastly takes no notice of no-store by itself: resized says it of errors that do not last.
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
