//! Series that outlive the module that counted them.
//!
//! Envoy keeps a VM's stats for as long as a VM of the same code is left, or
//! another one has defined them meanwhile. So names that were defined are noted
//! in data that all VMs share, and the first VM of another build defines them,
//! too, when it is configured: the VMs before it are still there at that time.
//! Whoever defines series for others goes on with it: connections may keep VMs
//! of an older build for long.

use core::time::Duration;

use crate::host::{Host, Vm};
use crate::series::names::Names;
use crate::series::{request, shared};
use crate::version::VERSION;

/// Shared data: the build that was configured last.
const BUILD: &str = "istio_stats.build";
/// Shared data: how many notes there are.
pub const NOTES: &str = "istio_stats.notes";

/// A note names the metrics of one label set and takes about 1 kB.
const MAX_NOTES: u32 = 10_000;

/// How long a build may define at once: only the main thread waits for it.
pub const TIME_AT_ONCE: Duration = Duration::from_secs(1);
/// As many label sets however long they take: on a busy machine a second is little.
pub const NOTES_AT_ONCE: u32 = 50;

/// Whether this VM is the first of its build, after those of another one. Only it is told so.
pub fn begins(host: &dyn Host) -> bool {
    let Ok(last) = host.shared_data(BUILD) else {
        return false;
    };
    // Else the compiler spreads it over the code, and tests could not make another
    // build of a module by its version alone.
    let own = core::hint::black_box(VERSION).as_bytes();
    let begins = last.value.as_deref() != Some(own);
    if begins {
        // The next VM is told so, too, if that fails.
        let _ = host.set_shared_data(BUILD, own, last.version);
    }
    begins
}

/// Notes metrics that this VM has defined, as they stood in a request.
pub fn note(host: &dyn Host, vm: &Vm, metrics: &[u8]) {
    let has_room = shared::number_at(host, NOTES).is_ok_and(|notes| notes < MAX_NOTES);
    if has_room && host.first_in_process(&shared::key("noted", hash(metrics))) {
        // What cannot be noted does not outlive this module.
        if let Ok(number) = shared::claim(host, NOTES) {
            let _ = host.set_shared_data(&note_key(number), metrics, 0);
            if vm.noted.get() == number {
                vm.noted.set(number.saturating_add(1));
            }
        }
    }
}

/// Defines for a while what was noted since the last time, and `at_least` so many label sets;
/// whether there were any.
pub fn define_noted(host: &dyn Host, vm: &Vm, time: Duration, at_least: u32) -> bool {
    let begin = host.now();
    let first = vm.noted.get();
    let enough = first.saturating_add(at_least);
    let notes = shared::number_at(host, NOTES).map_or(0, |notes| notes.min(MAX_NOTES));
    let mut names = None;
    for number in first..notes {
        vm.noted.set(number.saturating_add(1));
        let metrics = host.shared_data(&note_key(number)).ok().and_then(|note| note.value);
        let names = names.get_or_insert_with(|| Names::read(host));
        if let Some(metrics) = metrics.filter(|metrics| names.admit(metrics)) {
            request::define(host, &metrics, &[]);
        }
        if vm.noted.get() >= enough && host.now().saturating_duration_since(begin) >= time {
            break;
        }
    }
    first < notes
}

fn note_key(number: u32) -> String {
    shared::key("note", number.into())
}

/// FNV-1a: the same in every build.
fn hash(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}
