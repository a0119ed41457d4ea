// CloudFront Function (cloudfront-js-2.0) for viewer requests, used with formats.negotiate. It reduces Accept to AVIF and WebP, so that
// different spellings share one cached copy.
function handler(event) {
    const request = event.request;
    const sent = request.headers.accept ? request.headers.accept.value : '';
    const taken = ['image/avif', 'image/webp'].filter((type) => sent.includes(type));
    if (taken.length > 0) {
        request.headers.accept = { value: taken.join(',') };
    } else {
        delete request.headers.accept;
    }
    return request;
}
