//! URLs as manifests write them.

use std::fmt::Write as _;
use std::path::PathBuf;

/// Percent-quotes the path of a URL exactly as upstream osbuild does: a manifest's URLs are not quoted yet,
/// and a percent sign in them is one.
pub fn quote_path(url: &str) -> String {
    let start = path_start(url);
    let rest = &url[start..];
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let end = parameters_start(url, &rest[..end]).unwrap_or(end);
    format!("{}{}{}", &url[..start], quote(&rest[..end]), &rest[end..])
}

/// The URL of a file of a repository, whose own query stays at the end; none if the path is empty or leads out of the
/// repository.
///
/// The path is percent-quoted as Python's `quote` does; the repository's URL is taken as it is.
pub fn file_in_repository(repository: &str, path: &str) -> Option<String> {
    let path = path.trim_start_matches('/');
    if path.is_empty() || path.split('/').any(|component| component == "..") {
        return None;
    }
    let end = repository.find(['?', '#']).unwrap_or(repository.len());
    let (folder, query) = repository.split_at(end);
    let folder = folder.trim_end_matches('/');
    Some(format!("{folder}/{}{query}", quote(path)))
}

/// Percent-quotes all but what a path may have in it.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' | b'/' => {
                quoted.push(char::from(byte));
            }
            _ => write!(quoted, "%{byte:02X}").expect("writing to a string cannot fail"),
        }
    }
    quoted
}

/// Python takes `;parameters` of the last segment off the path of most URLs, and leaves them as they are.
fn parameters_start(url: &str, path: &str) -> Option<usize> {
    if url.starts_with("file:") {
        return None;
    }
    let last_segment = path.rfind('/').map_or(0, |slash| slash + 1);
    Some(last_segment + path[last_segment..].find(';')?)
}

/// The URL without the password in it, for messages.
pub(crate) fn without_password(url: &str) -> String {
    match reqwest::Url::parse(url) {
        Ok(mut parsed) if parsed.password().is_some() => {
            match parsed.set_password(None) {
                Ok(()) => parsed.into(),
                // Only URLs that can have no password get here.
                Err(()) => url.to_owned(),
            }
        }
        _ => url.to_owned(),
    }
}

/// The file that a `file:` URL names, if it is one on this machine.
pub(crate) fn file_path(url: &str) -> Option<PathBuf> {
    reqwest::Url::parse(url)
        .ok()
        .filter(|url| url.scheme() == "file")?
        .to_file_path()
        .ok()
}

/// The host and port, which share the limit of connections.
pub(crate) fn host(url: &str) -> String {
    let start = url.find("://").map_or(0, |colon| colon + 3);
    let authority = &url[start..path_start(url)];
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    host.to_ascii_lowercase()
}

fn path_start(url: &str) -> usize {
    let Some(colon) = url.find("://") else {
        return url.find(':').map_or(0, |colon| colon + 1);
    };
    let authority = colon + 3;
    url[authority..]
        .find(['/', '?', '#'])
        .map_or(url.len(), |slash| authority + slash)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Right-hand sides are what Python 3.11 makes of the left-hand ones.
    #[test]
    fn paths_are_quoted_as_python_does() {
        for (url, quoted) in [
            ("http://x", "http://x"),
            ("http://x/a b+c~d", "http://x/a%20b%2Bc~d"),
            ("http://x/a%20b", "http://x/a%2520b"),
            ("http://x/ü/é?q=ü b#f g", "http://x/%C3%BC/%C3%A9?q=ü b#f g"),
            ("http://u:p@x:80/a:b@c", "http://u:p@x:80/a%3Ab%40c"),
            ("http://x/a;b/c;d e", "http://x/a%3Bb/c;d e"),
            ("file:///a b", "file:///a%20b"),
            ("file:///a;b c", "file:///a%3Bb%20c"),
        ] {
            assert_eq!(quote_path(url), quoted);
        }
    }

    #[test]
    fn files_are_looked_for_inside_their_repository() {
        for (repository, path, url) in [
            ("http://x", "a.rpm", Some("http://x/a.rpm")),
            (
                "http://x/r/",
                "/p/a b+1?.rpm",
                Some("http://x/r/p/a%20b%2B1%3F.rpm"),
            ),
            ("http://x/r/?key=1", "a..b", Some("http://x/r/a..b?key=1")),
            ("http://x/r", "../a", None),
            ("http://x/r", "p/..", None),
            ("http://x/r", "/", None),
        ] {
            assert_eq!(file_in_repository(repository, path).as_deref(), url);
        }
    }

    #[test]
    fn files_are_found_behind_their_url() {
        assert_eq!(file_path("file:///a%20b"), Some("/a b".into()));
        assert_eq!(file_path("file://localhost/a"), Some("/a".into()));
        assert_eq!(file_path("file://elsewhere/a"), None);
        assert_eq!(file_path("http://x/a"), None);
    }

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(without_password("http://u:p@x/a"), "http://u@x/a");
        assert_eq!(without_password("http://x/a b"), "http://x/a b");
    }

    #[test]
    fn the_host_is_told_from_user_and_path() {
        assert_eq!(
            host("https://u:p@Mirror.example:8080/a@b"),
            "mirror.example:8080"
        );
        assert_eq!(host("file:///a"), "");
    }
}
