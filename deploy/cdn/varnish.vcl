# Varnish in front of resized.
#
# It keeps what resized says may be kept, asks once for what many want, and answers with what it has while it asks again and while
# resized is away, for a day. Put its address into server.trusted_proxies, so that rates and the log know the clients. tests/cdn
# sends requests through it.
#
# A purge: curl -X PURGE http://varnish/photos/cat.jpg from the addresses below drops the original and all of its variants here, and
# what else begins as they do, cat-and-dog.jpg. The path is spelled as in the pages' URLs (cat%20one.jpg). Purge resized first (POST
# /purge/photos/cat.jpg), or Varnish may fetch what was.
vcl 4.1;

import std;

backend resized {
    .host = "127.0.0.1";
    .port = "8080";
    .max_connections = 200;
    # Longer than work.flight_time.
    .first_byte_timeout = 70s;
}

acl operators {
    "127.0.0.1";
    "::1";
}

sub vcl_recv {
    if (req.method == "PURGE") {
        if (client.ip !~ operators) {
            return (synth(405));
        }
        # The name without its extension begins the names of all variants: cat.jpg, cat_300x200.jpg, cat-150x150.jpg.webp.
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
    # The query is no part of a picture's name, but for signed URLs (expires, signature).
    if (req.url !~ "[?&]signature=") {
        set req.url = regsub(req.url, "\?.*$", "");
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
    return (hash);
}

sub vcl_backend_response {
    # What cannot be made anew now is answered as it was.
    if (bereq.is_bgfetch && (beresp.status >= 500 || beresp.status == 429)) {
        return (abandon);
    }
    set beresp.http.x-path = bereq.url;
    if (beresp.ttl > 0s) {
        set beresp.grace = 1d;
        # How much longer it is kept to be revalidated: what is the same need not be sent again.
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
