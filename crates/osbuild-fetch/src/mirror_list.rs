//! Lists of mirrors, as mirror managers serve them to yum and dnf: metalinks (version 3, XML) and plain text.
//!
//! Such a list comes from elsewhere and is not signed: it may only name servers, and what these send is believed for its
//! checksum alone.

use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, Result, bail, ensure};
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use crate::{FetchOptions, FetchRequest, fetch_request_bytes};

/// The largest list that is read, in bytes; Fedora's have 30 000.
const LONGEST_LIST: u64 = 4 << 20;

/// No file is tried at more mirrors than this.
const MOST_MIRRORS: usize = 256;

/// The file that metalinks of repositories list, and where it is in a repository.
const INDEX_NAME: &str = "repomd.xml";
const INDEX_PATH: &str = "/repodata/repomd.xml";

/// How a list of mirrors is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MirrorListFormat {
    /// XML that names the index of a repository, with a preference for each mirror.
    Metalink,
    /// One URL on each line, best first.
    Plain,
}

/// Gets a list of mirrors from the request's URLs and gives the repositories that it names, best first.
///
/// The request's checksum and file name do not matter. It is an error if the list names no mirror that can be used: only
/// `http` and `https` can, and `file` if the list itself is a file of this machine.
pub fn fetch_mirrors(
    request: &FetchRequest,
    format: MirrorListFormat,
    options: &FetchOptions,
    cancel: &AtomicBool,
) -> Result<Vec<String>> {
    let bytes = fetch_request_bytes(request, LONGEST_LIST, options, cancel)?;
    let list = request.urls.first().map_or("", String::as_str);
    parse(&bytes, format, list).with_context(|| {
        let shown = crate::url::without_password(list);
        format!("reading the list of mirrors `{shown}`")
    })
}

fn parse(bytes: &[u8], format: MirrorListFormat, list: &str) -> Result<Vec<String>> {
    let text = std::str::from_utf8(bytes).context("it is not UTF-8")?;
    let named = match format {
        MirrorListFormat::Metalink => metalink(text)?,
        MirrorListFormat::Plain => plain(text),
    };
    let mut mirrors: Vec<String> = Vec::new();
    for url in &named {
        if !is_usable(url, list) {
            tracing::debug!(url, "this mirror cannot be used");
        } else if !mirrors.contains(url) && mirrors.len() < MOST_MIRRORS {
            mirrors.push(url.clone());
        }
    }
    ensure!(
        !mirrors.is_empty(),
        "of {} mirrors in it none has an http or https URL",
        named.len()
    );
    Ok(mirrors)
}

fn plain(text: &str) -> Vec<String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(ToOwned::to_owned)
        .collect()
}

/// A list from elsewhere must not make us read files of this machine.
fn is_usable(url: &str, list: &str) -> bool {
    match reqwest::Url::parse(url) {
        Ok(parsed) => match parsed.scheme() {
            "http" | "https" => parsed.has_host(),
            "file" => list.starts_with("file:"),
            _ => false,
        },
        Err(_) => false,
    }
}

/// A `url` element of a metalink.
#[derive(Default)]
struct Mirror {
    preference: u8,
    url: String,
}

/// The mirrors of the repository's index in a metalink, by falling preference.
fn metalink(text: &str) -> Result<Vec<String>> {
    let mut reader = Reader::from_str(text);
    let mut is_index = false;
    let mut open: Option<Mirror> = None;
    let mut mirrors: Vec<Mirror> = Vec::new();
    let mut depth = 0_usize;
    loop {
        match reader.read_event()? {
            Event::Start(start) => {
                depth += 1;
                match start.local_name().into_inner() {
                    "file" => is_index = attribute(&start, "name")?.as_deref() == Some(INDEX_NAME),
                    "url" if is_index => open = Some(mirror(&start)?),
                    _ => {}
                }
            }
            Event::End(end) => {
                depth -= 1;
                match end.local_name().into_inner() {
                    "file" => is_index = false,
                    "url" => mirrors.extend(open.take()),
                    _ => {}
                }
            }
            Event::Text(text) => append(&mut open, &text.xml10_content()),
            Event::CData(text) => append(&mut open, &text.xml10_content()),
            Event::GeneralRef(reference) => {
                let letter = match reference.resolve_char_ref()? {
                    Some(letter) => letter,
                    None => predefined(&reference.xml10_content())?,
                };
                append(&mut open, letter.encode_utf8(&mut [0; 4]));
            }
            // Entities of its own, which may grow without end, are declared there.
            Event::DocType(_) => bail!("a document type has no place in a metalink"),
            Event::Eof if depth == 0 => break,
            Event::Eof => bail!("the XML ends early"),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
    // Stable: mirrors of one preference stay as the server ordered them.
    mirrors.sort_by_key(|mirror| std::cmp::Reverse(mirror.preference));
    Ok(mirrors.iter().map(repository).collect())
}

fn mirror(start: &BytesStart<'_>) -> Result<Mirror> {
    let preference = attribute(start, "preference")?
        .and_then(|text| text.parse().ok())
        .filter(|preference| *preference <= 100)
        .unwrap_or_default();
    Ok(Mirror {
        preference,
        url: String::new(),
    })
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Result<Option<String>> {
    for attribute in start.attributes() {
        let attribute = attribute?;
        if attribute.key.as_ref() == name {
            let value = attribute.normalized_value(XmlVersion::Implicit1_0)?;
            return Ok(Some(value.into_owned()));
        }
    }
    Ok(None)
}

fn append(open: &mut Option<Mirror>, text: &str) {
    if let Some(mirror) = open {
        mirror.url.push_str(text);
    }
}

fn predefined(name: &str) -> Result<char> {
    Ok(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        other => bail!("the XML has an entity of its own, `{other}`"),
    })
}

/// The repository whose index a mirror serves.
fn repository(mirror: &Mirror) -> String {
    let url = mirror.url.trim();
    url.strip_suffix(INDEX_PATH).unwrap_or(url).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HTTPS: &str = "https://lists/fedora";

    fn metalink_of(urls: &str) -> String {
        format!(
            r#"<?xml version="1.0" encoding="utf-8"?>
<metalink version="3.0" xmlns="http://www.metalinker.org/" xmlns:mm0="http://fedorahosted.org/mirrormanager">
 <files>
  <file name="repomd.xml">
   <mm0:timestamp>1</mm0:timestamp><size>4</size>
   <verification><hash type="md5">00</hash></verification>
   <mm0:alternates><mm0:alternate><size>5</size></mm0:alternate></mm0:alternates>
   <resources maxconnections="1">{urls}</resources>
  </file>
  <file name="other"><resources><url preference="100">http://wrong/</url></resources></file>
 </files>
</metalink>"#
        )
    }

    fn error(bytes: &[u8], format: MirrorListFormat) -> String {
        format!("{:#}", parse(bytes, format, HTTPS).unwrap_err())
    }

    #[test]
    fn mirrors_of_a_metalink_come_by_preference() {
        let text = metalink_of(
            r#"<url protocol="http" preference="90">http://b/f/repodata/repomd.xml</url>
               <url protocol="rsync" preference="100">rsync://a/f/repodata/repomd.xml</url>
               <url preference="700">http://e/f/repodata/repomd.xml</url>
               <url preference="100"> https://a/f?x=1&amp;y=&#50;/repodata/repomd.xml </url>
               <url preference="90"><![CDATA[http://c/f/repodata/repomd.xml]]></url>
               <url preference="90">http://b/f/repodata/repomd.xml</url>
               <url>http://d/elsewhere</url>"#,
        );
        assert_eq!(
            parse(text.as_bytes(), MirrorListFormat::Metalink, HTTPS).unwrap(),
            [
                "https://a/f?x=1&y=2",
                "http://b/f",
                "http://c/f",
                "http://e/f",
                "http://d/elsewhere"
            ]
        );
    }

    #[test]
    fn a_plain_list_is_in_order() {
        let text = b"# repo = x\n\n http://b/1/ \r\nftp://c/\nhttps://a/\nnonsense\nfile:///etc\n";
        assert_eq!(
            parse(text, MirrorListFormat::Plain, HTTPS).unwrap(),
            ["http://b/1/", "https://a/"]
        );
    }

    #[test]
    fn only_a_file_may_name_files() {
        let parse = |list| parse(b"file:///repository", MirrorListFormat::Plain, list);
        assert_eq!(
            parse("file:///list").unwrap(),
            ["file:///repository".to_owned()]
        );
        assert_eq!(
            format!("{:#}", parse(HTTPS).unwrap_err()),
            "of 1 mirrors in it none has an http or https URL"
        );
    }

    #[test]
    fn a_list_of_many_mirrors_is_cut() {
        let lines: Vec<_> = (0..1000)
            .map(|number| format!("http://{number}.example/\n"))
            .collect();
        let mirrors = parse(lines.concat().as_bytes(), MirrorListFormat::Plain, HTTPS).unwrap();
        assert_eq!(mirrors.len(), MOST_MIRRORS);
    }

    #[test]
    fn bad_lists_are_errors() {
        let bomb =
            r#"<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><metalink>&b;</metalink>"#;
        let entity = metalink_of("<url>http://a/&b;</url>");
        let empty = metalink_of("");
        for (text, expected) in [
            (bomb, "a document type has no place in a metalink"),
            (&entity, "the XML has an entity of its own, `b`"),
            ("<metalink><files>", "the XML ends early"),
            (&empty, "of 0 mirrors in it none has an http or https URL"),
            (
                "{\"not\": \"xml\"}",
                "of 0 mirrors in it none has an http or https URL",
            ),
        ] {
            assert_eq!(error(text.as_bytes(), MirrorListFormat::Metalink), expected);
        }
        let unbalanced = error(b"<a></b>", MirrorListFormat::Metalink);
        assert!(unbalanced.contains("</a>"), "{unbalanced}");
        let binary = error(b"\xff\xfe", MirrorListFormat::Plain);
        assert!(binary.starts_with("it is not UTF-8"), "{binary}");
        assert_eq!(
            error(b"<html>404</html>", MirrorListFormat::Plain),
            "of 1 mirrors in it none has an http or https URL"
        );
    }
}
