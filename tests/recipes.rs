//! The snippets in docs/RECIPES.md request the documented variants. Snippets in languages that are not installed are skipped.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic fails the test")]

use std::process::Command;

use resized::config::Config;
use resized::variant::{Grammar, ParsedPath};

#[path = "shared/snippets.rs"]
mod snippets;

use snippets::{run, snippets};

const DOCS: &str = include_str!("../docs/RECIPES.md");
const HOST: &str = "https://images.example.com";

/// The storage key of the variant that a path names.
fn variant(path: &str) -> String {
    match Grammar::new(&Config::default()).unwrap().parse(path) {
        Ok(ParsedPath::Variant(addressed)) => addressed.variant.storage_key().to_string(),
        other => panic!("{path}: {other:?}"),
    }
}

/// Runs `command` on `files` and compares the variants of the URLs that it prints, one per line, with `keys`.
#[track_caller]
fn check(command: &[&str], files: &[(&str, &str)], keys: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let Some(urls) = run(command, folder.path()) else { return };
    let requested: Vec<_> = urls.lines().map(|url| variant(url.strip_prefix(HOST).unwrap())).collect();
    assert_eq!(requested, keys, "{urls}");
}

/// True if Python has the module. Prints a note if it does not.
fn python_has(module: &str) -> bool {
    let import = run_quietly(&["python3", "-c", &format!("import {module}")]);
    if !import {
        println!("NOT CHECKED: Python's {module} is not installed");
    }
    import
}

fn run_quietly(command: &[&str]) -> bool {
    Command::new(command[0]).args(&command[1..]).output().is_ok_and(|output| output.status.success())
}

#[test]
fn urls_in_the_html_name_variants() {
    let html = snippets(DOCS, "html").concat();
    let paths: Vec<_> = html.split(['"', ' ', '\n']).filter(|word| word.starts_with("/photos/")).collect();
    assert!(paths.len() > 10, "the URLs were not found");
    for path in paths {
        assert!(variant(path).starts_with("photos/cat.jpg/"), "{path}");
    }
}

#[test]
fn wordpress_lists_sizes_that_were_not_generated() {
    let wordpress = r#"<?php
function add_filter($name, $filter) { $GLOBALS['filters'][$name] = $filter; }
function get_post_mime_type($id) { return 'image/jpeg'; }
function wp_get_registered_image_subsizes() {
    $box = fn($width, $height, $crop) => ['width' => $width, 'height' => $height, 'crop' => $crop];
    return ['thumbnail' => $box(150, 150, true), 'medium' => $box(300, 300, false), 'huge' => $box(9000, 9000, false)];
}
function image_resize_dimensions($width, $height, $box_width, $box_height, $crop) {
    if ($box_width > $width) return false;
    return [0, 0, 0, 0, $box_width, $crop ? $box_height : round($height * $box_width / $width), $width, $height];
}
require 'resized.php';
$made = ['thumbnail' => ['file' => 'made.jpg']];
foreach ([[], $made] as $sizes) {
    $meta = ['file' => '2024/05/cat.jpg', 'width' => 1200, 'height' => 800, 'sizes' => $sizes];
    foreach ($GLOBALS['filters']['wp_get_attachment_metadata']($meta, 1)['sizes'] as $size) {
        if ($size['file'] !== 'made.jpg') echo "https://images.example.com/2024/05/{$size['file']}\n";
    }
}
"#;
    let files = [("resized.php", snippets(DOCS, "php")[0]), ("wordpress.php", wordpress)];
    let medium = "2024/05/cat.jpg/300x200_crop_center_q80.jpg";
    check(&["php", "wordpress.php"], &files, &["2024/05/cat.jpg/150x150_crop_center_q80.jpg", medium, medium]);
}

#[test]
fn the_shopify_theme_requests_a_key_at_a_size() {
    if !python_has("liquid") {
        return;
    }
    let theme = r#"
from liquid import DictLoader, Environment

images = Environment()
images.filters["img_url"] = lambda image, size, crop, scale: (
    f"//cdn.shopify.com/s/files/1/0001/0002{image}_{size}_crop_{crop}@{scale}x.jpg?v=1571438")
first, second = open("first.liquid").read(), open("second.liquid").read()
print(images.from_string(first).render(image="/products/shoe").strip())
print(Environment().from_string(second).render(key="products/v1.2/shoe.jpg.jpg", size="300x").strip())
"#;
    let liquid = snippets(DOCS, "liquid");
    let files = [("first.liquid", liquid[0]), ("second.liquid", liquid[1]), ("theme.py", theme)];
    let keys = ["products/shoe.jpg/600x600_crop_center_q80.jpg", "products/v1.2/shoe.jpg.jpg/300x_q80.jpg"];
    check(&["python3", "theme.py"], &files, &keys);
}

#[test]
fn the_next_js_loader_requests_width_and_quality() {
    let page = r#"
import load from "./resized-loader.mjs";
console.log(load({ src: "/photos/cat.jpg", width: 640 }));
console.log(load({ src: "/photos/cat.jpg", width: 640, quality: 60 }));
console.log(load({ src: "/v1.2/cat", width: 640 }));
console.log(load({ src: "/Caf%C3%A9%20cr%C3%A8me.png", width: 640 }));
"#;
    let keys = [
        "photos/cat.jpg/640x_q80.jpg",
        "photos/cat.jpg/640x_q60.jpg",
        "v1.2/cat/640x_q80.jpg",
        "Café crème.png/640x.png",
    ];
    check(&["node", "page.mjs"], &[("resized-loader.mjs", snippets(DOCS, "js")[0]), ("page.mjs", page)], &keys);
}

#[test]
fn the_rails_helper_requests_a_key_at_a_size() {
    let page = r##"
require "./resized_helper"
include ResizedHelper
def image_tag(url, srcset:, alt:) = puts(url, srcset.keys)
puts resized_url("photos/Café crème 50%.jpg", "300x200_crop_top"), resized_url("v1.2/cat", "300x"), resized_url("cat.jpg", "300x", format: "webp")
resized_image_tag("cat.png", [400, 800], alt: "a cat")
"##;
    let keys = [
        "photos/Café crème 50%.jpg/300x200_crop_top_q80.jpg",
        "v1.2/cat/300x_q80.jpg",
        "cat.jpg/300x_q80.webp",
        "cat.png/800x.png",
        "cat.png/400x.png",
        "cat.png/800x.png",
    ];
    check(&["ruby", "page.rb"], &[("resized_helper.rb", snippets(DOCS, "ruby")[0]), ("page.rb", page)], &keys);
}

#[test]
fn the_django_tag_requests_a_key_at_a_size() {
    if !python_has("django") {
        return;
    }
    let page = r#"
import re
import django
from django.conf import settings
from django.template import Context, Template

engine = {"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": {"libraries": {"resized": "tags"}}}
settings.configure(RESIZED_URL="https://images.example.com", TEMPLATES=[engine])
django.setup()
photo = {"title": "a cat", "file": {"name": "photos/Café crème 50%.jpg"}}
page = Template(open("page.html").read()).render(Context({"photo": photo}))
print(*re.findall(r"https://[^ \"]+", page), sep="\n")
for arguments in ["'v1.2/cat' '300x'", "'cat.jpg' '300x' format='webp'"]:
    print(Template("{% load resized %}{% resized " + arguments + " %}").render(Context()))
"#;
    let files =
        [("tags.py", snippets(DOCS, "python")[0]), ("page.html", snippets(DOCS, "django")[0]), ("page.py", page)];
    let keys = [
        "photos/Café crème 50%.jpg/300x200_crop_center_q80.jpg",
        "photos/Café crème 50%.jpg/600x400_crop_center_q80.jpg",
        "v1.2/cat/300x_q80.jpg",
        "cat.jpg/300x_q80.webp",
    ];
    check(&["python3", "page.py"], &files, &keys);
}

#[test]
fn the_cloudfront_function_reduces_accept_only_where_that_is_exact() {
    let page = r#"
import { readFileSync } from "node:fs";
const handler = new Function(readFileSync("accept.js", "utf8") + "; return handler;")();
const reduced = (...lines) => {
    const values = lines.map((value) => ({ value }));
    const accept = values.length > 1 ? { ...values[0], multiValue: values } : values[0];
    return handler({ request: { headers: accept ? { accept } : {} } }).headers.accept?.value ?? "-";
};
console.log(reduced("image/avif,image/webp,image/apng,image/*,*/*;q=0.8"));
console.log(reduced("IMAGE/WebP , image/*"));
console.log(reduced("image/webpx, */*"));
console.log(reduced());
console.log(reduced("text/html", "image/webp"));
for (const exact of ["image/webp;q=0, */*", "image/avif ;q=1e-1, image/webp", 'text/html;a=",image/webp"']) console.log(reduced(exact));
"#;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("accept.js"), include_str!("../deploy/terraform/accept.js")).unwrap();
    std::fs::write(folder.path().join("page.mjs"), page).unwrap();
    let Some(printed) = run(&["node", "page.mjs"], folder.path()) else { return };
    let expected = [
        "image/avif,image/webp",
        "image/webp",
        "-",
        "-",
        "image/webp",
        "image/webp;q=0, */*",
        "image/avif ;q=1e-1, image/webp",
        r#"text/html;a=",image/webp""#,
    ];
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected);
}
