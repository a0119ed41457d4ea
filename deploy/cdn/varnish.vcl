# Varnish in front of resized.
#
# It obeys the Cache-Control of resized, coalesces concurrent requests, and serves stale copies while it revalidates
# and, for a day, while resized is down. Add the address of Varnish to server.trusted_proxies, so that rate limits and
# the log see the real clients. tests/cdn sends requests through this configuration.
#
# To purge, run `curl -X PURGE http://varnish/photos/cat.jpg` on one of the addresses below. The request drops the
# original, all of its variants, and other objects whose name starts the same way, such as cat-and-dog.jpg. Encode the
# path as in URLs (cat%20one.jpg). Purge resized first (POST /purge/photos/cat.jpg), or Varnish may fetch the old
# variants again.
vcl 4.1;

import std;

backend resized {
    .host = "127.0.0.1";
    .port = "8080";
    .max_connections = 200;
    # Must exceed work.flight_time.
    .first_byte_timeout = 70s;
}

acl operators {
    "127.0.0.1";
    "::1";
}

sub vcl_recv {
    # Varnish appends the client to X-Forwarded-For, and would pass on what the client sent as Forwarded.
    unset req.http.Forwarded;
    if (req.method == "PURGE") {
        if (client.ip !~ operators) {
            return (synth(405));
        }
        # The names of all variants start with the name without its extension: cat.jpg, cat_300x200.jpg, cat-150x150.jpg.webp.
        set req.http.x-name = regsub(regsub(req.url, "\?.*$", ""), "\.[^./]+$", "");
        set req.http.x-name = regsuball(req.http.x-name, "([][\\^$.|?*+(){}])", "\\\1");
        if (std.ban("obj.http.x-path ~ ^" + req.http.x-name + "[._-]")) {
            return (synth(200, "Purged"));
        }
        return (synth(500, std.ban_error()));
    }
    if (req.method != "GET" && req.method != "HEAD") {
        return (pass);
    }
    # Drop the query string, except for signed URLs (expires, signature).
    if (req.url !~ "[?&]signature=") {
        set req.url = regsub(req.url, "\?.*$", "");
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
    return (hash);
}

sub vcl_backend_response {
    # Serve the stale copy while resized fails.
    if (bereq.is_bgfetch && (beresp.status >= 500 || beresp.status == 429)) {
        return (abandon);
    }
    set beresp.http.x-path = bereq.url;
    if (beresp.ttl > 0s) {
        set beresp.grace = 1d;
        # Keep the object longer for revalidation, so that an unchanged image is not sent again.
        set beresp.keep = 7d;
    }
}

sub vcl_deliver {
    unset resp.http.x-path;
    if (obj.hits > 0) {
        set resp.http.X-Cache = "HIT";
    } else {
        set resp.http.X-Cache = "MISS";
    }
}
