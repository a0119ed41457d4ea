# Varnish in front of resized.
#
# It keeps what resized says may be kept, asks once for what many want, and answers with what it has while resized is away. A purge:
# curl -X PURGE http://varnish/photos/cat.jpg from the addresses below drops the original and all of its variants here; then, or
# before, purge it in resized (POST /purge/photos/cat.jpg).
vcl 4.1;

import std;

backend resized {
    .host = "127.0.0.1";
    .port = "8080";
    .max_connections = 200;
    .probe = {
        # The operator's listener answers /readyz; on this port a picture that is always there will do.
        .url = "/cat_16x16.jpg";
        .interval = 5s;
    }
}

acl operators {
    "127.0.0.1";
    "::1";
}

sub vcl_recv {
    if (req.method == "PURGE") {
        if (!client.ip ~ operators) {
            return (synth(405));
        }
        # The name without its extension begins the names of all variants: cat.jpg, cat_300x200.jpg, cat-150x150.jpg.webp.
        ban("obj.http.x-path ~ ^" + regsub(req.url, "\.[^./]+$", "") + "[._-]");
        return (synth(200, "Purged"));
    }
    if (req.method != "GET" && req.method != "HEAD") {
        return (pass);
    }
    # The query is no part of a picture's name, but for signed URLs (expires, signature).
    if (req.url !~ "[?&]signature=") {
        set req.url = regsub(req.url, "\?.*$", "");
    }
    if (std.healthy(req.backend_hint)) {
        # Ten seconds while it is asked again; all of beresp.grace while it is away.
        set req.grace = 10s;
    }
    unset req.http.Cookie;
    return (hash);
}

sub vcl_backend_response {
    set beresp.http.x-path = bereq.url;
    set beresp.grace = 1d;
    if (beresp.status >= 500) {
        return (abandon);
    }
}

sub vcl_deliver {
    unset resp.http.x-path;
}
