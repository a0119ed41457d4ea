#!/usr/bin/env bash
# Makes an HTML page that shows each original with several variants, for visual inspection.
#   benches/gallery.sh PHOTOS [OUT]     PHOTOS: a folder of pictures; OUT: a folder, by default target/gallery
# The page ends with the small test originals, one of each kind of every format that is read, and with photographs under other settings.
# RESIZED=target/debug/resized uses that binary. Without it, a release build is made.
set -euo pipefail
cd "$(dirname "$0")/.."
photos=$(realpath "${1:?a folder of pictures}")
out=${2:-target/gallery}
binary=${RESIZED:-}
[ -n "$binary" ] || { cargo build --release --quiet; binary=target/release/resized; }
rm -rf "$out"
mkdir -p "$out"
out=$(realpath "$out")
binary=$(realpath "$binary")

# Size suffixes and their captions.
sizes=(
    "_400x|fit, JPEG"
    "_400x400_crop|crop, center"
    "_400x400_crop_smart|crop, smart"
    "_200x400_crop|tall, center"
    "_200x400_crop_smart|tall, smart"
)
formats=("webp" "avif" "png")

# Starts a server with settings VARIABLE=VALUE for the originals in FOLDER, and sets $port.
servers=()
trap 'kill "${servers[@]}" 2>/dev/null || true; wait; rm -rf "$out"/store*' EXIT
serve() { # FOLDER VARIABLE=VALUE...
    local folder=$1
    shift
    port=$((20000 + RANDOM % 20000))
    env RESIZED_SERVER__LISTEN=127.0.0.1:$port RESIZED_ADMIN__LISTEN="" RESIZED_ORIGINALS__STORE="file:$folder" \
        RESIZED_VARIANTS__STORE="file:$out/store${#servers[@]}" RESIZED_LOG__ACCESS=false RESIZED_LOG__LEVEL=error \
        RESIZED_FORMATS__SVG=true "$@" "$binary" >>"$out/log" 2>&1 &
    servers+=($!)
    for _ in $(seq 100); do
        if curl -s -o /dev/null "http://127.0.0.1:$port/"; then break; fi
        sleep 0.1
    done
}

page=$out/index.html
cat >"$page" <<'HTML'
<!doctype html><meta charset="utf-8"><title>resized: a gallery</title>
<style>
  body { font: 14px/1.4 system-ui, sans-serif; margin: 2em; background: #f4f4f4; color: #222 }
  h2 { font-size: 16px; margin: 2em 0 .5em }
  .row { display: flex; flex-wrap: wrap; gap: 12px; align-items: flex-start }
  figure { margin: 0; background: repeating-conic-gradient(#ddd 0 25%, #fff 0 50%) 0 / 16px 16px }
  figcaption { background: #fff; padding: 2px 6px; font-size: 12px }
  img { display: block; max-width: 400px; max-height: 400px }
</style>
<h1>Variants made by resized</h1>
HTML

count=0
picture() { # PATH CAPTION
    local code file
    count=$((count + 1))
    file=$count-${1//\//_}
    code=$(curl -s -o "$out/$file" -w '%{http_code}' "http://127.0.0.1:$port/$1")
    if [ "$code" = 200 ]; then
        echo "<figure><img src=\"$file\" loading=\"lazy\"><figcaption>$2, $(($(stat -c %s "$out/$file") / 1000)) KB</figcaption></figure>"
    else
        echo "<figure><figcaption>$2: $code $(cat "$out/$file")</figcaption></figure>"
    fi
}

original() { # FILE
    count=$((count + 1))
    cp "$1" "$out/$count-original-$(basename "$1")"
    echo "<figure><img src=\"$count-original-$(basename "$1")\" loading=\"lazy\"><figcaption>the original, scaled by the browser</figcaption></figure>"
}

serve "$photos"
for photo in "$photos"/*.{jpg,jpeg,png,webp,gif,avif,jxl,heic,tif,tiff,bmp,ico,svg}; do
    [ -f "$photo" ] || continue
    name=$(basename "$photo")
    stem=${name%.*}
    extension=${name##*.}
    {
        echo "<h2>$name</h2><div class=\"row\">"
        original "$photo"
        for size in "${sizes[@]}"; do
            picture "$stem${size%%|*}.$extension" "${size##*|}"
        done
        for format in "${formats[@]}"; do
            picture "${stem}_400x.$extension.$format" "fit, $format"
        done
        echo "</div>"
    } >>"$page"
done

# Browsers do not show most of these originals, and the pictures are small.
originals=$PWD/crates/pixels/tests/originals
serve "$originals"
{
    echo "<h2>Test originals, as PNG</h2><div class=\"row\">"
    for file in "$originals"/*; do
        name=$(basename "$file")
        case $name in *.py | *.txt | *.md) continue ;; esac
        picture "${name%.*}_96x.${name##*.}.png" "$name"
    done
    echo "</div>"
} >>"$page"

# The same size under settings for colors and light.
for settings in RESIZED_FORMATS__COLOR=srgb RESIZED_FORMATS__LINEAR_LIGHT=true RESIZED_FORMATS__GAIN_MAPS=true; do
    serve "$photos" "$settings"
    {
        echo "<h2>${settings#RESIZED_FORMATS__}</h2><div class=\"row\">"
        for photo in "$photos"/*.{jpg,png}; do
            [ -f "$photo" ] || continue
            name=$(basename "$photo")
            picture "${name%.*}_400x.${name##*.}" "$name"
        done
        echo "</div>"
    } >>"$page"
done
echo "$page"
