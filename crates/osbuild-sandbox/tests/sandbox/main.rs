//! Runs real sandboxes, with both executors. Needs root; everything happens in a private mount namespace.
//!
//! It has a `main` of its own because the sandbox's process 1 is this very program, started again.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod build_root;
mod devices;
mod endings;
mod same_in_both;
mod support;

use libtest_mimic::{Arguments, Trial};
use osbuild_sandbox::Executor;

fn main() {
    osbuild_sandbox::init::main_if_requested();
    support::hold_a_sandbox_if_requested();
    let arguments = Arguments::from_args();
    if osbuild_testing::needs::root().is_met() {
        osbuild_sandbox::enter_private_mount_namespace().expect("root can unshare");
    }
    libtest_mimic::run(&arguments, trials()).exit();
}

/// A test that is run with either executor.
type ForEach = fn(Executor);

fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial(
            "both_executors_show_the_same",
            same_in_both::both_executors_show_the_same,
        ),
        trial("devices_can_be_used", devices::devices_can_be_used),
        trial(
            "mount_guards_undo_themselves",
            devices::mount_guards_undo_themselves,
        ),
        trial(
            "a_loop_device_shows_its_part_of_a_file",
            devices::a_loop_device_shows_its_part_of_a_file,
        ),
        trial(
            "loop_devices_are_shared_out",
            devices::loop_devices_are_shared_out,
        ),
    ];
    let for_each: [(&str, ForEach); 11] = [
        ("what_a_stage_sees", build_root::what_a_stage_sees),
        (
            "tree_is_writable_and_inputs_are_not",
            build_root::tree_is_writable_and_inputs_are_not,
        ),
        (
            "exit_status_and_output_come_back",
            endings::exit_status_and_output_come_back,
        ),
        ("a_signal_is_told", endings::a_signal_is_told),
        ("time_limit_is_run_time", endings::time_limit_is_run_time),
        ("cancelling_ends_it", endings::cancelling_ends_it),
        ("left_over_processes_die", endings::left_over_processes_die),
        (
            "dies_with_a_killed_parent",
            endings::dies_with_a_killed_parent,
        ),
        (
            "a_missing_program_is_an_error",
            endings::a_missing_program_is_an_error,
        ),
        (
            "a_missing_source_is_an_error",
            endings::a_missing_source_is_an_error,
        ),
        ("many_at_a_time", endings::many_at_a_time),
    ];
    for (name, test) in for_each {
        for executor in [Executor::Namespaces, Executor::Bubblewrap] {
            trials.push(trial(&format!("{name}::{executor:?}"), move || {
                test(executor);
            }));
        }
    }
    trials
}

/// Makes a test of a function that panics when it fails; it runs only where it can.
fn trial(name: &str, test: impl FnOnce() + Send + 'static) -> Trial {
    let unless_needs_are_unmet = move || {
        osbuild_testing::needs![root, tool("bwrap")];
        test();
    };
    Trial::test(name, move || {
        unless_needs_are_unmet();
        Ok(())
    })
}
