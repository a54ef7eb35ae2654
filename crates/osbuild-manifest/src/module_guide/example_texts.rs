//! Texts that examples are made of. The first that a schema's pattern allows is taken.

/// Texts for members of certain names; these read better than the general ones.
const BY_NAME: &[(&str, &str)] = &[
    ("hostname", "server.example.com"),
    ("timezone", "Europe/Berlin"),
    ("zone", "Europe/Berlin"),
    ("keymap", "de"),
    ("language", "de_DE.UTF-8"),
    ("uuid", "0b6ce4fb-8b5f-4d0c-9a0c-1c0f4b2e6a11"),
    ("filename", "image.raw"),
    ("label", "root"),
    ("text", "some text"),
    ("path", "/etc/example"),
    ("from", "tree:///etc/example"),
    ("to", "tree:///etc/copy"),
    ("mode", "0644"),
    ("user", "root"),
    ("group", "root"),
    ("url", "https://example.com/file"),
    ("size", "1 GiB"),
    ("device", "device"),
    ("source", "device"),
    ("target", "/"),
    ("references", "name:tree"),
    ("origin", "org.osbuild.source"),
    ("password", "$6$salt$hash"),
    ("key", "ssh-ed25519 AAAA user@example.com"),
];

/// Texts in the order in which they are tried.
const GENERAL: &[&str] = &[
    "example",
    "/etc/example",
    "tree:///etc/example",
    "input://tree/etc/example",
    "mount://root/etc/example",
    "/",
    "example.conf",
    "example.cfg",
    "example.pem",
    "example.json",
    "example.service",
    "example.service.d",
    "example.network",
    "example.repo",
    "example.rules",
    "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
    "sha512:9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043",
    "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
    "md5:5d41402abc4b2a76b9719d911017c592",
    "0b6ce4fb-8b5f-4d0c-9a0c-1c0f4b2e6a11",
    "ffffffffffffffffffffffffffffffff",
    "deadbeef",
    "1234-ABCD",
    "0x1b",
    "name:tree",
    "org.osbuild.pipeline",
    "org.osbuild.source",
    "org.osbuild.tree",
    "device",
    "root",
    "0644",
    "755",
    "1",
    "1024",
    "1G",
    "1 GiB",
    "10%",
    "8.1",
    "10.0.0.1",
    "https://example.com/file",
    "2026-01-01",
    "20260101000000Z",
    "5m",
    "1h",
    "EXAMPLE",
    "EXAMPLE_NAME",
    "example=value",
    "user@example.com",
    "de_DE.UTF-8",
    "system_u:object_r:etc_t:s0",
    "registry.example.com/image:latest",
    "example/1/x86_64",
    "CAP_SYS_ADMIN",
    "12345678",
    "a",
];

/// Gives texts for a member of this name, the most fitting first.
pub(super) fn candidates(name: &str) -> impl Iterator<Item = &'static str> {
    let fitting = BY_NAME
        .iter()
        .filter(move |(known, _)| *known == name)
        .map(|(_, text)| *text);
    let fitting: Vec<_> = fitting.collect();
    fitting.into_iter().chain(GENERAL.iter().copied())
}
