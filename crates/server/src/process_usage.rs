//! What a process has used, as Linux tells it: processor time from `/proc/PID/stat`, resident memory from
//! `/proc/PID/smaps_rollup`.

use crate::failure::Failure;
use std::{fs, ops::Sub};

/// Processor time and resident memory at one moment, or, as a difference, over a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// User and system time, in microseconds. Linux counts in hundredths of a second.
    pub(crate) cpu_us: u64,
    /// Resident memory, in bytes; as a difference it can shrink.
    pub(crate) rss_bytes: i64,
}

impl Usage {
    /// The sum over processes.
    pub(crate) fn of(pids: &[u32]) -> Result<Usage, Failure> {
        let mut sum = Usage::default();
        for pid in pids {
            let read = |name: &str| {
                let path = format!("/proc/{pid}/{name}");
                fs::read_to_string(&path).map_err(|error| Failure::io(format!("cannot read {path}"), &error))
            };
            let malformed = |name: &str| Failure::new(format!("/proc/{pid}/{name} is not as expected"));
            let ticks = ticks(&read("stat")?).ok_or_else(|| malformed("stat"))?;
            sum.cpu_us += ticks.saturating_mul(1_000_000) / rustix::param::clock_ticks_per_second().max(1);
            sum.rss_bytes += rss_bytes(&read("smaps_rollup")?).ok_or_else(|| malformed("smaps_rollup"))?;
        }
        Ok(sum)
    }

    /// Processor time of this process, in microseconds; 0 where it cannot be read.
    pub(crate) fn own_cpu_us() -> u64 {
        Usage::of(&[std::process::id()]).map_or(0, |usage| usage.cpu_us)
    }
}

impl Sub for Usage {
    type Output = Usage;

    fn sub(self, earlier: Usage) -> Usage {
        Usage { cpu_us: self.cpu_us.saturating_sub(earlier.cpu_us), rss_bytes: self.rss_bytes - earlier.rss_bytes }
    }
}

/// User and system time in clock ticks: fields 14 and 15 (proc_pid_stat(5)), counted behind the name, which may hold
/// spaces and parentheses.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn rss_bytes(rollup: &str) -> Option<i64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:"))?;
    let kib: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}

#[cfg(test)]
mod tests {
    use super::{Usage, rss_bytes, ticks};

    #[test]
    fn a_process_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 900 0 0 0 17 5 0 0 20 0 8 0 100 1 2 3";
        assert_eq!(ticks(stat), Some(22));
        assert_eq!(ticks("42 (a"), None);
    }

    #[test]
    fn resident_memory_is_in_bytes() {
        assert_eq!(
            rss_bytes("55d0-7ffe ---p 0 00:00 0 [rollup]\nRss:               1234 kB\nPss: 1 kB\n"),
            Some(1_263_616)
        );
        assert_eq!(rss_bytes("Pss: 1 kB\n"), None);
    }

    #[test]
    fn this_process_uses_memory_and_a_process_that_is_not_there_is_named() {
        let usage = Usage::of(&[std::process::id()]).unwrap_or_default();
        assert!(usage.rss_bytes > 100_000, "{usage:?}");
        let gone = Usage::of(&[u32::MAX]).map(|_| ()).map_err(|failure| failure.sentences().join(""));
        assert!(gone.is_err_and(|sentence| sentence.contains("/proc/4294967295/stat")));
    }
}
