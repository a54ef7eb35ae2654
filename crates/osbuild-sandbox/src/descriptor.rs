//! Descriptors that the caller of this program left open for it.

use std::io;
use std::os::fd::OwnedFd;

use crate::syscalls;

/// Lowest number that is not standard input, output or error.
const FIRST_OTHER: i32 = 3;

/// Takes what the caller left open at this number. To be called before anything else is opened, since the number could
/// be that of something else later. Programs that are started do not inherit it, unless it is one of the standard three.
///
/// # Errors
/// Nothing is open there.
pub fn inherited(number: i32) -> io::Result<OwnedFd> {
    if number < FIRST_OTHER {
        return syscalls::duplicate_number(number);
    }
    let taken = syscalls::duplicate_number(number)?;
    syscalls::close_on_exec(number)?;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn what_is_open_can_be_taken_by_its_number() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut taken = std::fs::File::from(inherited(writer.as_raw_fd()).unwrap());
        drop(writer);
        taken.write_all(b"said").unwrap();
        drop(taken);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "said");
    }

    #[test]
    fn a_number_at_which_nothing_is_open_is_an_error() {
        for number in [-1, 1_000_000] {
            let error = inherited(number).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(9), "EBADF");
        }
    }
}
