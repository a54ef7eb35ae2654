//! What may have been meant by a word that nobody knows.

/// A word that is unknown, and known ones like it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// The unknown word.
    pub word: String,
    /// Known words like it, the likeliest first; never empty.
    pub nearest: Vec<String>,
}

/// At most so many words are suggested.
const MAXIMUM: usize = 3;
/// Words less alike than this are not worth naming.
const LEAST_SIMILARITY: f64 = 0.75;

/// Finds the candidates most like a word, the likeliest first; none if nothing comes near.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut rated: Vec<(f64, &str)> = candidates
        .into_iter()
        .map(|candidate| (similarity(word, candidate), candidate))
        .filter(|(rate, _)| *rate >= LEAST_SIMILARITY)
        .collect();
    rated.sort_by(|left, right| right.0.total_cmp(&left.0).then_with(|| left.1.cmp(right.1)));
    rated.dedup_by(|left, right| left.1 == right.1);
    rated
        .into_iter()
        .take(MAXIMUM)
        .map(|(_, candidate)| candidate.to_owned())
        .collect()
}

/// Suggests known words for an unknown one.
pub fn suggest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<Suggestion> {
    let nearest = nearest(word, candidates);
    (!nearest.is_empty()).then(|| Suggestion {
        word: word.to_owned(),
        nearest,
    })
}

/// Module names share a long prefix that would make all of them alike.
const PREFIX: &str = "org.osbuild.";

fn similarity(word: &str, candidate: &str) -> f64 {
    let plain = |text: &str| text.strip_prefix(PREFIX).unwrap_or(text).to_lowercase();
    let (word, candidate) = (plain(word), plain(candidate));
    strsim::normalized_damerau_levenshtein(&word, &candidate)
        .max(strsim::jaro_winkler(&word, &candidate) - 0.15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_recognised() {
        let stages = [
            "org.osbuild.hostname",
            "org.osbuild.locale",
            "org.osbuild.users",
            "org.osbuild.rpm",
            "org.osbuild.tar",
        ];
        for (word, expected) in [
            ("org.osbuild.hostnam", vec!["org.osbuild.hostname"]),
            ("org.osbuild.Hostname", vec!["org.osbuild.hostname"]),
            ("hostname", vec!["org.osbuild.hostname"]),
            ("org.osbuild.user", vec!["org.osbuild.users"]),
            ("org.osbuild.lcoale", vec!["org.osbuild.locale"]),
            ("org.osbuild.grub2", vec![]),
        ] {
            assert_eq!(nearest(word, stages), expected, "{word}");
        }
    }
}
