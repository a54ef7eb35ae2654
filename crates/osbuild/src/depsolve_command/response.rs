//! Responses, as upstream's tool writes them.

use std::collections::{BTreeMap, HashSet};

use osbuild_packages::rpm::details::{Details, Listed};
use serde_json::{Map, Value, json};

use super::Refusal;
use super::chooser::{Chooser, Chosen};
use super::request::{Repository, Version};

/// The solver whose choices these are: callers know this one and `dnf5`.
const SOLVER: &str = "dnf";
const DAY: i64 = 24 * 60 * 60;

/// The response to `depsolve`: of version 1 all packages, of version 2 what each transaction adds.
pub(super) fn depsolve(
    version: Version,
    chooser: &Chooser<'_>,
    transactions: &[Vec<Chosen<'_>>],
) -> Result<Value, Refusal> {
    let used = transactions
        .iter()
        .flatten()
        .map(|chosen| chosen.repository);
    let repositories = repositories(version, chooser, used)?;
    let mut response = json!({ "solver": SOLVER });
    match version {
        Version::One => {
            let last = transactions.last().into_iter().flatten();
            response["packages"] = last.map(short).collect();
        }
        Version::Two => {
            let mut seen = HashSet::new();
            let added = transactions.iter().map(|packages| {
                let new = packages.iter();
                let new = new.filter(|chosen| seen.insert(chosen.package.url.as_str()));
                new.map(full).collect::<Value>()
            });
            response["transactions"] = added.collect();
        }
    }
    response["repos"] = repositories;
    response["modules"] = json!({});
    Ok(response)
}

/// The response to `dump` and `search`.
pub(super) fn list(
    version: Version,
    chooser: &Chooser<'_>,
    packages: &[Chosen<'_>],
) -> Result<Value, Refusal> {
    if version == Version::One {
        return Ok(packages.iter().map(description).collect());
    }
    let used = packages.iter().map(|chosen| chosen.repository);
    Ok(json!({
        "solver": SOLVER,
        "packages": packages.iter().map(full).collect::<Value>(),
        "repos": repositories(version, chooser, used)?,
    }))
}

fn short(chosen: &Chosen<'_>) -> Value {
    let package = chosen.package;
    let mut value = identity(chosen);
    let path = package.details.as_ref().map(|details| &details.location);
    value.insert("path".to_owned(), json!(path));
    value.insert("remote_location".to_owned(), json!(package.url));
    value.insert(
        "checksum".to_owned(),
        json!(format!("sha256:{}", package.sha256)),
    );
    value.into()
}

fn identity(chosen: &Chosen<'_>) -> Map<String, Value> {
    let package = chosen.package;
    let fields = [
        ("name", json!(package.name)),
        ("epoch", json!(package.evr.epoch)),
        ("version", json!(package.evr.version)),
        (
            "release",
            json!(package.evr.release.as_deref().unwrap_or_default()),
        ),
        ("arch", json!(package.architecture)),
        ("repo_id", json!(chosen.repository.id)),
    ];
    let fields = fields.into_iter();
    fields
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn description(chosen: &Chosen<'_>) -> Value {
    let details = chosen
        .package
        .details
        .as_deref()
        .cloned()
        .unwrap_or_default();
    let mut value = identity(chosen);
    for (name, text) in [
        ("summary", details.summary),
        ("description", details.description),
        ("url", details.url),
        ("buildtime", rfc3339(details.build_time)),
        ("license", details.license),
    ] {
        value.insert(name.to_owned(), text.into());
    }
    value.into()
}

fn full(chosen: &Chosen<'_>) -> Value {
    let package = chosen.package;
    let details = package.details.as_deref().cloned().unwrap_or_default();
    let lists = dependencies(&details);
    let mut value = identity(chosen);
    let rest = json!({
        "location": details.location,
        "remote_locations": [package.url],
        "checksum": { "algorithm": "sha256", "value": package.sha256 },
        // Only the database of installed packages has one.
        "header_checksum": null,
        "license": details.license,
        "summary": details.summary,
        "description": details.description,
        "url": details.url,
        "vendor": details.vendor,
        "packager": details.packager,
        "build_time": rfc3339(details.build_time),
        "download_size": package.size,
        "install_size": details.installed_size,
        "group": details.group,
        "source_rpm": details.source_rpm,
        // dnf, too, knows reasons of installed packages only.
        "reason": "",
    });
    if let Value::Object(rest) = rest {
        value.extend(rest);
    }
    value.extend(lists);
    value.insert("files".to_owned(), json!(package.files));
    value.into()
}

/// The lists of dependencies, sorted by their text.
fn dependencies(details: &Details) -> Map<String, Value> {
    let list = |name: &str, keep: fn(&Listed) -> bool| {
        let all = details.dependencies.iter();
        let listed = all.filter(|listed| listed.list == name && keep(listed));
        let mut written: Vec<_> = listed.map(|listed| &listed.dependency).collect();
        written.sort_by_cached_key(ToString::to_string);
        let values = written.into_iter().map(|dependency| {
            let mut value = json!({ "name": dependency.name });
            for (field, text) in [
                ("relation", &dependency.relation),
                ("version", &dependency.version),
            ] {
                if !text.is_empty() {
                    value[field] = json!(text);
                }
            }
            value
        });
        values.collect::<Value>()
    };
    let all: fn(&Listed) -> bool = |_| true;
    let lists = [
        ("provides", list("provides", all)),
        ("requires", list("requires", all)),
        ("requires_pre", list("requires", |listed| listed.is_early)),
        ("conflicts", list("conflicts", all)),
        ("obsoletes", list("obsoletes", all)),
        (
            "regular_requires",
            list("requires", |listed| !listed.is_early),
        ),
        ("recommends", list("recommends", all)),
        ("suggests", list("suggests", all)),
        ("enhances", list("enhances", all)),
        ("supplements", list("supplements", all)),
    ];
    let lists = lists.into_iter();
    lists
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn repositories<'a>(
    version: Version,
    chooser: &Chooser<'_>,
    used: impl Iterator<Item = &'a Repository>,
) -> Result<Value, Refusal> {
    let used: BTreeMap<&str, &Repository> = used.map(|used| (used.id.as_str(), used)).collect();
    let mut values = Map::new();
    for (id, repository) in used {
        let keys = chooser.keys(repository)?;
        values.insert(id.to_owned(), repository_value(version, repository, &keys));
    }
    Ok(values.into())
}

fn repository_value(version: Version, repository: &Repository, keys: &[String]) -> Value {
    let mut value = json!({
        "id": repository.id,
        "name": repository.name,
        "baseurl": repository.addresses,
        "metalink": repository.metalink,
        "mirrorlist": repository.mirrorlist,
        "gpgcheck": repository.is_checked,
        "repo_gpgcheck": false,
    });
    match version {
        Version::One => {
            value["gpgkeys"] = json!(keys);
            value["sslverify"] = true.into();
        }
        Version::Two => {
            value["gpgkey"] = json!(keys);
            value["sslverify"] = true.into();
            value["metadata_expire"] = expiry(&repository.expiry).into();
            value["module_hotfixes"] = repository.has_hotfixes.into();
            value["rhsm"] = false.into();
        }
    }
    for field in ["sslcacert", "sslclientkey", "sslclientcert"] {
        value[field] = "".into();
    }
    value
}

/// A time as dnf reads it, in seconds.
fn expiry(text: &str) -> String {
    if text == "never" {
        return "-1s".to_owned();
    }
    let (number, unit) = match text.char_indices().next_back() {
        Some((end, 's')) => (&text[..end], 1),
        Some((end, 'm')) => (&text[..end], 60),
        Some((end, 'h')) => (&text[..end], 60 * 60),
        Some((end, 'd')) => (&text[..end], DAY),
        _ => (text, 1),
    };
    let seconds = number
        .trim()
        .parse()
        .ok()
        .and_then(|number: i64| number.checked_mul(unit));
    seconds.map_or_else(|| text.to_owned(), |seconds| format!("{seconds}s"))
}

/// Seconds since 1970 as a date and time (the days by Howard Hinnant's `civil_from_days`).
fn rfc3339(seconds: i64) -> String {
    let days = seconds.div_euclid(DAY) + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let time = seconds.rem_euclid(DAY);
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_upstream_writes_them() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_454_336, "2026-11-23T17:18:56Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
        }
        assert_eq!(expiry("6h"), "21600s");
    }
}
