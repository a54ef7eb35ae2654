//! Which URL to try next.

/// How much a failure says about the mirror it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// It may work next time.
    Nobody,
    /// It has an answer, and another one is not very likely: it may have sent us elsewhere, or the
    /// bytes went bad on the way.
    Perhaps,
    /// It will give the same answer again.
    Mirror,
}

/// How many answers of kind [`Blame::Perhaps`] end a mirror.
const CHANCES: u8 = 3;

/// The mirrors of one file that may still have it, in turn.
pub(crate) struct Mirrors<'a> {
    left: Vec<Mirror<'a>>,
    next: usize,
}

struct Mirror<'a> {
    url: &'a str,
    chances: u8,
}

impl<'a> Mirrors<'a> {
    pub(crate) fn new(urls: &'a [String]) -> Self {
        Self {
            left: urls
                .iter()
                .map(|url| Mirror {
                    url,
                    chances: CHANCES,
                })
                .collect(),
            next: 0,
        }
    }

    /// The one to try now; none if every mirror is out of the question.
    pub(crate) fn current(&self) -> Option<&'a str> {
        self.left.get(self.next).map(|mirror| mirror.url)
    }

    /// Lets those that are still to have their turn in this round have it by this key, the least first.
    pub(crate) fn order_by(&mut self, key: impl Fn(&str) -> usize) {
        let waiting = &mut self.left[self.next..];
        if waiting.len() > 1 {
            waiting.sort_by_cached_key(|mirror| key(mirror.url));
        }
    }

    /// Goes on to the next mirror; tells whether all of them had their turn, so that it is time to wait.
    pub(crate) fn blame(&mut self, blame: Blame) -> bool {
        let cost = match blame {
            Blame::Nobody => 0,
            Blame::Perhaps => 1,
            Blame::Mirror => CHANCES,
        };
        let Some(mirror) = self.left.get_mut(self.next) else {
            return true;
        };
        mirror.chances = mirror.chances.saturating_sub(cost);
        if mirror.chances == 0 {
            self.left.remove(self.next);
        } else {
            self.next += 1;
        }
        let is_round_over = self.next >= self.left.len();
        if is_round_over {
            self.next = 0;
        }
        is_round_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_take_turns_and_those_without_the_file_drop_out() {
        let urls = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let mut mirrors = Mirrors::new(&urls);
        let mut seen = Vec::new();
        for blame in [
            Blame::Nobody,
            Blame::Mirror,
            Blame::Perhaps,
            Blame::Nobody,
            Blame::Perhaps,
            Blame::Mirror,
            Blame::Perhaps,
        ] {
            let url = mirrors.current();
            seen.push((url.unwrap(), mirrors.blame(blame)));
        }
        assert_eq!(
            seen,
            [
                ("a", false),
                ("b", false),
                ("c", true),
                ("a", false),
                ("c", true),
                ("a", false),
                ("c", true),
            ]
        );
        assert_eq!(mirrors.current(), None);
    }

    #[test]
    fn those_that_wait_can_be_put_into_another_order() {
        let urls = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let mut mirrors = Mirrors::new(&urls);
        mirrors.order_by(|url| usize::from(url == "a"));
        assert_eq!(mirrors.current(), Some("b"));
        mirrors.blame(Blame::Nobody);
        mirrors.order_by(|url| usize::from(url == "c"));
        assert_eq!(mirrors.current(), Some("a"));
    }
}
