// CloudFront Function (cloudfront-js-2.0), at viewer requests, where formats.negotiate is in use: of Accept no more than AVIF and WebP,
// so that not every browser's way to write it is a copy of its own.
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
