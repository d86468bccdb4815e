"""Content types of files, by the ending of their names.

Lives here: the types of the web, the same on every machine, and which of them are worth compressing.
Doesn't know: files; and it never reads the machine's own tables (/etc/mime.types).
"""

import mimetypes

DEFAULT = b"application/octet-stream"

# Text is UTF-8, which is said, since browsers guess otherwise. Not for XML, which says it itself and whose
# own word a parameter would override, nor for JSON, which has no such parameter.
# Source: RFC 9239 §4.2 (JavaScript), RFC 8259 §11 (JSON), RFC 7303 §3.2 (XML), RFC 7763 (Markdown)
_WEB = {
    "7z": "application/x-7z-compressed",
    "aac": "audio/aac",
    "apng": "image/apng",
    "atom": "application/atom+xml",
    "avif": "image/avif",
    "bmp": "image/bmp",
    "br": "application/octet-stream",
    "bz2": "application/x-bzip2",
    "cjs": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "cur": "image/x-icon",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "eot": "application/vnd.ms-fontobject",
    "epub": "application/epub+zip",
    "flac": "audio/flac",
    "geojson": "application/geo+json",
    "gif": "image/gif",
    "glb": "model/gltf-binary",
    "gltf": "model/gltf+json",
    "gz": "application/gzip",
    "heic": "image/heic",
    "heif": "image/heif",
    "htm": "text/html; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "ico": "image/x-icon",
    "ics": "text/calendar; charset=utf-8",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "jsonld": "application/ld+json",
    "jxl": "image/jxl",
    "m3u8": "application/vnd.apple.mpegurl",
    "m4a": "audio/mp4",
    "m4v": "video/mp4",
    "map": "application/json",
    "md": "text/markdown; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "mkv": "video/matroska",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "mpd": "application/dash+xml",
    "oga": "audio/ogg",
    "ogg": "audio/ogg",
    "ogv": "video/ogg",
    "opus": "audio/ogg",
    "otf": "font/otf",
    "pdf": "application/pdf",
    "png": "image/png",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "rdf": "application/rdf+xml",
    "rss": "application/rss+xml",
    "svg": "image/svg+xml",
    "tar": "application/x-tar",
    "tgz": "application/gzip",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "toml": "application/toml",
    "ttc": "font/collection",
    "ttf": "font/ttf",
    "txt": "text/plain; charset=utf-8",
    "vcf": "text/vcard; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
    "wasm": "application/wasm",
    "wav": "audio/wav",
    "weba": "audio/webm",
    "webm": "video/webm",
    "webmanifest": "application/manifest+json",
    "webp": "image/webp",
    "woff": "font/woff",
    "woff2": "font/woff2",
    "xhtml": "application/xhtml+xml",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xml": "application/xml",
    "xsl": "application/xslt+xml",
    "xz": "application/x-xz",
    "yaml": "application/yaml",
    "yml": "application/yaml",
    "zip": "application/zip",
    "zst": "application/zstd",
}


def _known() -> dict[bytes, bytes]:
    standard = mimetypes.MimeTypes().types_map[True]  # those built into Python; this one reads no files
    known = {ending.lstrip("."): kind for ending, kind in standard.items()}
    for ending, kind in known.items():
        if kind.startswith("text/"):
            known[ending] = kind + "; charset=utf-8"
    return {ending.encode(): kind.encode() for ending, kind in (known | _WEB).items()}


_TYPES = _known()

_COMPRESSIBLE = frozenset(
    kind.encode()
    for kind in (
        "application/javascript",
        "application/json",
        "application/rtf",
        "application/toml",
        "application/vnd.apple.mpegurl",
        "application/vnd.ms-fontobject",
        "application/wasm",
        "application/xml",
        "application/yaml",
        "font/collection",
        "font/otf",
        "font/ttf",
        "image/bmp",
        "image/x-icon",
        "model/gltf-binary",
    )
)


def content_type(name: bytes) -> bytes:
    """The media type of a file of this name, with its charset: `a.CSS` is `text/css; charset=utf-8`.
    Source: RFC 9110 §8.3"""
    return _TYPES.get(name.rpartition(b".")[2].lower(), DEFAULT) if b"." in name else DEFAULT


def is_compressible(kind: bytes) -> bool:
    """Whether files of a content type get smaller by compression: text, and a few formats that aren't
    compressed yet."""
    essence = kind.partition(b";")[0].rstrip().lower()
    return essence.startswith(b"text/") or essence in _COMPRESSIBLE or essence.endswith((b"+xml", b"+json"))
