// CloudFront Function (cloudfront-js-2.0) for viewer requests, used with formats.negotiate. It reduces Accept to AVIF and WebP, so that
// different spellings share one cached copy. Lists with weights of these formats, other parameters or quoted strings, which few clients
// send, are passed on unchanged: resized parses them exactly.
function handler(event) {
    const request = event.request;
    const accept = request.headers.accept;
    if (!accept) {
        return request;
    }
    // Several header lines are one list.
    const lines = accept.multiValue ? accept.multiValue.map((line) => line.value) : [accept.value];
    const sent = lines.join(',').toLowerCase();
    if (/"|image\/(avif|webp)[ \t]*;/.test(sent)) {
        return request;
    }
    const ranges = sent.split(',').map((range) => range.trim());
    const taken = ['image/avif', 'image/webp'].filter((type) => ranges.includes(type));
    if (taken.length > 0) {
        request.headers.accept = { value: taken.join(',') };
    } else {
        delete request.headers.accept;
    }
    return request;
}
