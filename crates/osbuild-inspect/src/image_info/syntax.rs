//! The small languages of configuration files, read as upstream's `osbuild-image-info` reads them.

use serde_json::{Map, Value, json};

/// Lines with content, without the white space around them; none that begin with one of `comments`.
pub(super) fn lines(text: &str, comments: &[char]) -> Vec<String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(comments))
        .map(str::to_owned)
        .collect()
}

/// `KEY=VALUE` lines, as in os-release(5); lines without `=` are passed over.
pub(super) fn variables(text: &str) -> Map<String, Value> {
    lines(text, &['#'])
        .iter()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), json!(value.trim_matches('"'))))
        .collect()
}

/// Sections of an INI file, as Python's `RawConfigParser` reads them with names of options as they are.
pub(super) fn ini(text: &str) -> Map<String, Value> {
    let mut sections: Map<String, Value> = Map::new();
    let mut section = None;
    let mut option: Option<String> = None;
    for line in text.lines() {
        let content = line.trim();
        if content.is_empty() || content.starts_with(['#', ';']) {
            continue;
        }
        let is_continued = line.starts_with([' ', '\t']);
        if let Some(name) = content
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
            .filter(|_| !is_continued)
        {
            section = Some(name.0.to_owned());
            option = None;
            continue;
        }
        let Some(options) = section
            .as_ref()
            .map(|name| sections.entry(name.clone()).or_insert_with(|| json!({})))
            .and_then(Value::as_object_mut)
        else {
            continue;
        };
        if let (true, Some(Value::String(value))) = (
            is_continued,
            option.as_ref().and_then(|name| options.get_mut(name)),
        ) {
            value.push('\n');
            value.push_str(content);
        } else if let Some((name, value)) = content.split_once(['=', ':']) {
            options.insert(name.trim().to_owned(), json!(value.trim()));
            option = Some(name.trim().to_owned());
        }
    }
    sections
}

/// Settings of dracut.conf(5), `=` and `+=` alike; before a comment, upstream keeps the quote and the space.
pub(super) fn dracut(text: &str) -> Map<String, Value> {
    text.lines()
        .map(|line| line.trim().split('#').next().unwrap_or_default())
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| {
            let key = key.strip_suffix('+').unwrap_or(key);
            (key.to_owned(), json!(value.trim_matches('"')))
        })
        .collect()
}

/// The last `blacklist` of a file of modprobe.d(5): upstream keeps one for each file.
pub(super) fn blacklist(text: &str) -> Map<String, Value> {
    let joined = text.replace("\\\n", "");
    let last = lines(&joined, &['#'])
        .iter()
        .rev()
        .find_map(|line| line.strip_prefix("blacklist ").map(str::to_owned));
    last.into_iter()
        .map(|module| ("blacklist".to_owned(), json!([module])))
        .collect()
}

/// Arguments of the directives of chrony.conf(5) that name time sources.
pub(super) fn chrony(text: &str) -> Map<String, Value> {
    let mut found: Map<String, Value> = Map::new();
    for line in lines(text, &['!', ';', '#', '%']) {
        let mut words = line.split_whitespace();
        let directive = words.next().unwrap_or_default();
        if !matches!(directive, "server" | "pool" | "peer" | "leapsectz") {
            continue;
        }
        let arguments: Vec<&str> = words.collect();
        let values = found.entry(directive).or_insert_with(|| json!([]));
        if let Value::Array(values) = values {
            values.push(json!(arguments.join(" ")));
        }
    }
    found
}

/// Layout and variant of the keyboard in a file of `xorg.conf.d`.
pub(super) fn x11_keyboard(text: &str) -> Map<String, Value> {
    [("layout", "\"XkbLayout\""), ("variant", "\"XkbVariant\"")]
        .into_iter()
        .filter_map(|(name, option)| {
            let line = lines(text, &['#'])
                .into_iter()
                .rfind(|line| line.starts_with("Option") && line.contains(option))?;
            let value = line.split(option).nth(1)?.trim().trim_matches('"');
            (!value.is_empty()).then(|| (name.to_owned(), json!(value)))
        })
        .collect()
}

/// Names of the services that a zone of firewalld lets in.
pub(super) fn firewall_services(zone: &str) -> Vec<String> {
    zone.split("<service ")
        .skip(1)
        .filter_map(|rest| {
            let element = rest.split('>').next()?;
            let value = element.split("name=").nth(1)?;
            let quote = value
                .chars()
                .next()
                .filter(|first| "\"'".contains(*first))?;
            Some(value[1..].split(quote).next()?.to_owned())
        })
        .collect()
}

/// Keys and values of an entry of the Boot Loader Specification.
pub(super) fn boot_entry(text: &str) -> Map<String, Value> {
    lines(text, &['#'])
        .iter()
        .filter_map(|line| line.split_once(' '))
        .map(|(key, value)| (key.to_owned(), json!(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ini_file_is_read_as_python_reads_it() {
        let text = "# none\n[main]\nName = a = b\nkey: v\n  more\n[empty]\n\n[x]\n; no\nb=\n";
        let expected = json!({"main": {"Name": "a = b", "key": "v\nmore"}, "x": {"b": ""}});
        assert_eq!(Value::Object(ini(text)), expected);
    }

    #[test]
    fn a_module_is_blacklisted_over_a_continued_line() {
        let found = blacklist("# x\nblacklist a\noptions y z=1\nblack\\\nlist b\n");
        assert_eq!(Value::Object(found), json!({"blacklist": ["b"]}));
    }

    #[test]
    fn a_keyboard_has_its_layout_and_variant() {
        let text = "Section \"InputClass\"\n  Option \"XkbLayout\" \"us,sk\"\n  Option \"XkbVariant\" \",qwerty\"\nEndSection\n";
        let expected = json!({"layout": "us,sk", "variant": ",qwerty"});
        assert_eq!(Value::Object(x11_keyboard(text)), expected);
    }

    #[test]
    fn services_of_a_zone_are_named_in_either_quotes() {
        let zone =
            "<zone>\n<short>x</short><service name=\"ssh\"/>\n<service name='mdns' />\n</zone>";
        assert_eq!(firewall_services(zone), ["ssh", "mdns"]);
    }
}
