//! Names of time zones, so that a misspelt one is found before anything is built.

use crate::problem::{Problems, RecipeError};
use crate::section::{Text, nearest};

/// Every zone and link of the tz database (2025b), one per line.
const ZONES: &str = include_str!("timezones.txt");

/// Refuses names the tz database does not have.
pub(super) fn check_timezone(zone: &Text, problems: &mut Problems) {
    let zones: Vec<&str> = ZONES.lines().collect();
    if zones.contains(&zone.value.as_str()) {
        return;
    }
    let error = RecipeError::new(zone.place, format!("`{}` is not a time zone", zone.value));
    problems.add(error.hint(match suggestion(&zone.value, &zones) {
        Some(name) => format!("did you mean `{name}`?"),
        None => "write a name of the tz database, like `Europe/Berlin` or `Etc/UTC`".to_owned(),
    }));
}

/// The zone of that city when only the city is written, else the zone spelt most alike.
fn suggestion<'a>(name: &str, zones: &[&'a str]) -> Option<&'a str> {
    let city = name.replace(' ', "_").to_lowercase();
    let of_city = zones.iter().find(|zone| {
        let last = zone.rsplit('/').next().unwrap_or(zone);
        last.to_lowercase() == city
    });
    of_city.copied().or_else(|| nearest(name, zones))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_city_or_a_misspelling_leads_to_its_zone() {
        let zones: Vec<&str> = ZONES.lines().collect();
        for (name, zone) in [
            ("Berlin", Some("Europe/Berlin")),
            ("new york", Some("America/New_York")),
            ("Europe/Berln", Some("Europe/Berlin")),
            ("xyzzy", None),
        ] {
            assert_eq!(suggestion(name, &zones), zone, "{name}");
        }
    }
}
