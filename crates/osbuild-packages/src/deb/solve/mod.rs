//! Chooses the packages that `apt-get install --no-install-recommends` would install into an empty root.
//!
//! `docs/decisions/0002-apt-equal-solver.md` tells why this follows apt's greedy marking instead of asking a SAT
//! solver: of the many sets of packages that satisfy a request, only one is the set apt picks.
//!
//! | file | does |
//! |---|---|
//! | `request` | what is asked for, what is answered |
//! | `candidates` | which version of each package may be installed |
//! | `marking` | marks packages and, greedily, what they need |
//! | `providers` | which packages satisfy a dependency, best first |
//! | `repair`, `scores` | what apt's problem resolver does when marking left something broken |
//! | `orphans` | drops what was marked on the way to a dead end |
//! | `explain` | says in words why nothing fits |

mod candidates;
mod error;
mod explain;
mod marking;
mod orphans;
mod pins;
mod providers;
mod repair;
mod request;
mod scores;

pub use error::SolveError;
pub use pins::PackagePin;
pub use request::{BaseSet, Pin, PinTarget, SolveRequest};

use super::universe::{PackageId, Universe};
use marking::{Asked, Marking};

/// Stack for the recursion over dependencies, which apt lets go 3000 deep.
const STACK_SIZE: usize = 256 << 20;

/// Chooses packages; the answer is sorted by name.
pub fn solve(
    universe: &Universe<'_>,
    request: &SolveRequest,
) -> Result<Vec<PackagePin>, SolveError> {
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("solve".to_owned())
            .stack_size(STACK_SIZE)
            .spawn_scoped(scope, || solve_here(universe, request))
            .map_err(SolveError::NoThread)?
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn solve_here(
    universe: &Universe<'_>,
    request: &SolveRequest,
) -> Result<Vec<PackagePin>, SolveError> {
    let candidates = candidates::choose(universe, &request.pins);
    let mut marking = Marking::new(universe, candidates);
    let roots = request::roots(universe, request, &mut marking)?;
    for &root in &roots {
        marking.protect(root);
        marking.mark_install(root, marking::Dependencies::Leave, 0, Asked::ByUser);
    }
    for &root in &roots {
        marking.mark_install(root, marking::Dependencies::Install, 0, Asked::ByUser);
    }
    if marking.broken().next().is_some() {
        repair::repair(&mut marking, &roots);
    }
    let broken: Vec<PackageId> = marking.broken().collect();
    if !broken.is_empty() {
        return Err(explain::explain(&marking, &roots, &broken));
    }
    orphans::remove(&mut marking);
    pins::collect(&marking)
}

#[cfg(test)]
mod tests;
